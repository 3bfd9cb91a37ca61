"""What the form above a list asks for, read as the API reads its query."""

from typing import TypeVar

from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.datastructures import URL

from kern.server.runs.cursors import Paged
from kern.server.ui.viewing import Viewer

Asked = TypeVar("Asked", bound=Paged)


async def asked_in(viewer: Viewer, kind: type[Asked], **defaults: str) -> Asked:
    """Return what the query of a page asks for; fields that were left empty ask for nothing.

    Where the agents have several databases, and none is named, it is the first agent.

    Args:
        viewer: who asks.
        kind: what can be asked for, as the API has it.
        **defaults: what is asked for where the query does not have it; there ``any`` is nothing.

    Raises:
        RequestValidationError: something is unknown, or cannot be used.
    """
    given = {name: value for name, value in viewer.request.query_params.items() if value}
    for name, usual in defaults.items():
        if given.setdefault(name, usual) == "any":
            del given[name]
    if "agent" in kind.model_fields and "agent" not in given and await has_several(viewer):
        given["agent"] = next(iter(viewer.reach.agents))
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        found = [{**each, "loc": ("query", *each["loc"])} for each in error.errors()]
        raise RequestValidationError(found) from None


async def has_several(viewer: Viewer) -> bool:
    """Say whether the agents that a viewer sees have several databases."""
    return len(await viewer.reach.places()) > 1


def next_of(viewer: Viewer, cursor: str) -> str:
    """Return where the next page of a list is.

    Args:
        viewer: who looks at the one before.
        cursor: the cursor that leads to it.
    """
    return str(URL(viewer.here).include_query_params(cursor=cursor))
