"""Responses of agents without tools of their own fit OpenResponses, too."""

from typing import Any

import pytest
from openresponses_types import types
from pydantic import TypeAdapter
from response_cases import CASES, Case

from kern.server.responses.events import encoded


def plain(case: Case) -> bool:
    # It has no calls of own tools, and its type for a schema allows none.
    told = encoded(case.translated()[1])
    return b"mcp_" not in told and b"json_schema" not in told


@pytest.mark.parametrize("name", [name for name, each in CASES.items() if plain(each())])
def test_events_and_responses_fit_open_responses(name: str) -> None:
    translator, told = CASES[name]().translated()
    for each in told:
        words = each["type"].removeprefix("response.").replace(".", "_").split("_")
        event = getattr(types, f"Response{''.join(map(str.title, words))}StreamingEvent")
        TypeAdapter[Any](event).validate_json(encoded(each))
    types.ResponseResource.model_validate_json(encoded(translator.response()))
