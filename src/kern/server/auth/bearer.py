"""The header ``Authorization``, and how a request is refused that does not say who sends it."""

from fastapi import Request

from kern.server.problems import RequestError


def bearer(request: Request) -> str:
    """Return what a request shows as its key or token.

    Raises:
        RequestError: it shows nothing (401).
    """
    scheme, _, shown = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and (shown := shown.strip()):
        return shown
    raise unauthorized("Say who you are: send the header «Authorization: Bearer …».", "no_key")


def unauthorized(detail: str, code: str) -> RequestError:
    """Return what a request is refused with that is nobody's.

    Args:
        detail: why.
        code: a word for programs.
    """
    return RequestError(401, detail, code=code, headers={"WWW-Authenticate": "Bearer"})
