"""What was done, or why not: said once, on the page that is shown after it."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import NamedTuple

from fastapi import Request, Response

_NAME = "kern_flash"

# A cookie holds 4 kB.
_MOST = 600


class Flash(NamedTuple):
    """What is said.

    Attributes:
        text: it.
        failed: whether something went wrong.
    """

    text: str
    failed: bool = False


def flash(request: Request, response: Response, text: str, *, failed: bool = False) -> None:
    """Have the page that a response leads to say something.

    Args:
        request: the request that is answered.
        response: the answer, which leads to a page.
        text: what is said.
        failed: whether something went wrong.
    """
    value = urlsafe_b64encode(json.dumps([text[:_MOST], failed]).encode()).decode()
    set_cookie(request, response, _NAME, value, age=60)


def flashed(request: Request) -> Flash | None:
    """Return what a page is to say, if anything."""
    try:
        text, failed = json.loads(urlsafe_b64decode(request.cookies.get(_NAME, "")))
    except (ValueError, TypeError):  # There is none, or it is not ours.
        return None
    return Flash(str(text)[:_MOST], bool(failed))


def forget_flash(request: Request, response: Response) -> None:
    """Have it said no more."""
    set_cookie(request, response, _NAME, "", age=0)


def set_cookie(
    request: Request, response: Response, name: str, value: str, age: int | None = None
) -> None:
    """Have a browser keep a value for the page, which no script and no other site reads.

    Args:
        request: the request that is answered.
        response: the answer.
        name: the name of the cookie.
        value: its value; with the age 0 it is forgotten.
        age: seconds for which it is kept; None until the browser is closed.
    """
    response.set_cookie(
        name,
        value,
        max_age=age,
        path=f"{request.scope.get('root_path', '')}/ui",
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="lax",  # A link in a chat opens a page; what changes something is a form.
    )
