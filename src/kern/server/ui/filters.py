"""What the form above a list asks for, read as the API reads its query."""

from typing import TypeVar

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.datastructures import URL

from kern.server.runs.cursors import Paged
from kern.server.ui.viewing import Viewer

Asked = TypeVar("Asked", bound=Paged)


def asked_in(request: Request, kind: type[Asked], **defaults: str) -> Asked:
    """Return what the query of a page asks for; fields that were left empty ask for nothing.

    Args:
        request: the request for the page.
        kind: what can be asked for, as the API has it.
        **defaults: what is asked for where the query does not have it; there ``any`` is nothing.

    Raises:
        RequestValidationError: something is unknown, or cannot be used.
    """
    given = {name: value for name, value in request.query_params.items() if value}
    for name, usual in defaults.items():
        if given.setdefault(name, usual) == "any":
            del given[name]
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        found = [{**each, "loc": ("query", *each["loc"])} for each in error.errors()]
        raise RequestValidationError(found) from None


def next_of(viewer: Viewer, cursor: str) -> str:
    """Return where the next page of a list is.

    Args:
        viewer: who looks at the one before.
        cursor: the cursor that leads to it.
    """
    return str(URL(viewer.here).include_query_params(cursor=cursor))
