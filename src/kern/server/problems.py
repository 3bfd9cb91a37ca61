"""What a request is refused with: one list of errors, in both forms in which clients read them."""

from collections.abc import Mapping

import msgspec

from kern.errors import KernError


class RequestError(KernError):
    """A request that is refused.

    It becomes problem details (RFC 9457) in the runs API, and ``{"error": {…}}`` in OpenAI's.

    Attributes:
        status: the HTTP status.
        detail: what happened, why, and what to do.
        code: a word for programs, such as ``"agent_not_found"``.
        param: the parameter that it is about, or None.
        headers: headers of the response, such as ``Retry-After``.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        code: str,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.code = code
        self.param = param
        self.headers = dict(headers or {})


def encoded(value: object) -> bytes:
    """Return a value as JSON in bytes."""
    return msgspec.json.encode(value)
