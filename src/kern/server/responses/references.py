"""Items that an input only refers to: they are read from the responses that have them."""

import re
from collections.abc import Sequence
from typing import Any

from kern.run.base import RunStatus
from kern.server.caller import Caller
from kern.server.problems import RequestError
from kern.server.responses.ids import ResponseId
from kern.server.responses.items import Item, refused
from kern.server.responses.listing import input_items
from kern.server.responses.object import Json
from kern.server.responses.reading import Found, find, folded
from kern.server.service import Service

_ID = re.compile(r"[a-z]+_(.+)_(i?)[0-9]+", re.DOTALL)


async def resolved(
    service: Service, caller: Caller, given: str | Sequence[Item], start: int = 0
) -> str | Sequence[Item]:
    """Return an input with the items themselves in the places of ``item_reference``.

    Args:
        service: what is served.
        caller: who refers to them.
        given: the input.
        start: the place of the first item that is looked at.

    Raises:
        RequestError: there is no such item (404).
    """
    if isinstance(given, str) or not any(map(_is_reference, given[start:])):
        return given
    known: dict[str, dict[str, Any]] = {}
    items: list[Item] = []
    for place, each in enumerate(given):
        if place < start or not _is_reference(each):
            items.append(each)
            continue
        param = f"input[{place}].id"
        name = each.get("id")
        if not isinstance(name, str):
            raise refused(param, "An item_reference needs the id of an item.", "invalid_type")
        if name.startswith("mcpr_"):  # What was asked for says nothing; the answer to it does.
            items.append({"type": "mcp_approval_request", "id": name})
            continue
        found = _ID.fullmatch(name)
        if found is None:
            raise _no_item(name, param)
        source = f"resp_{found[1]}{found[2]}"
        if source not in known:
            known[source] = await _items_of(service, caller, f"resp_{found[1]}", found[2], param)
        if name not in known[source]:
            raise _no_item(name, param)
        items.append(known[source][name])
    return items


async def _items_of(
    service: Service, caller: Caller, response: str, is_input: str, param: str
) -> dict[str, Json]:
    """Return what a response was given, or has said, by the ids of the items."""
    found: Found = await find(service, caller, response, caller.user_id, param)
    if found.record.status in (RunStatus.pending, RunStatus.running):
        raise refused(param, f"The response {response} has not ended.", "wrong_status", 409)
    if is_input:
        items = await input_items(found, with_images=True)
    else:
        translator, _ = await folded(found)
        items = translator.response()["output"]
    return {each["id"]: each for each in items}


def run_in(item_id: str) -> str | None:
    """Return the run whose item has an id; None where it is no such id."""
    if item_id.startswith("mcpr_"):
        return item_id.removeprefix("mcpr_").split("/")[0] or None
    found = _ID.fullmatch(item_id)
    try:
        return None if found is None else ResponseId.parse(f"resp_{found[1]}").run_id
    except RequestError:
        return None


def _is_reference(item: Item) -> bool:
    kind = item.get("type")
    return kind == "item_reference" or (kind is None and "id" in item and "role" not in item)


def _no_item(name: str, param: str) -> RequestError:
    return refused(param, f"There is no item {name!r:.100}.", "not_found", 404)
