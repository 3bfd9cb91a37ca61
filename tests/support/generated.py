"""What tests of Google's models share: answers as the API gives them, and what its SDK knows."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from google.genai import types
from pydantic import BaseModel

from kern.models.base import ModelRequest, ModelResponse, Piece
from kern.models.google.answer import read_response
from kern.models.google.pieces import Pieces
from kern.models.google.wire import request_body
from kern.models.origin import Origin
from kern.models.values import Json, object_at, objects_in

ORIGIN = Origin("Google", "generativelanguage.googleapis.com", "gemini-3.7-flash")

_USAGE = {"promptTokenCount": 10, "candidatesTokenCount": 5, "totalTokenCount": 15}


def generated(*parts: Json, reason: str | None = "STOP", **more: object) -> Json:
    """Return an answer of these parts, as the API gives it."""
    candidate: Json = {"content": {"role": "model", "parts": [*parts]}, "index": 0, **more}
    if reason is not None:
        candidate["finishReason"] = reason
    return {
        "candidates": [candidate],
        "usageMetadata": _USAGE,
        "modelVersion": "gemini-3.7-flash-001",
        "responseId": "resp-1",
    }


def read_whole(payload: Json) -> ModelResponse:
    """Read an answer that came at once."""
    return read_response(payload, ORIGIN)


def read_streamed(payload: Json) -> ModelResponse:
    """Read an answer that came part by part, each in an event of its own."""
    _, response = pieces_of(*events_of(payload))
    return response


def events_of(payload: Json) -> list[Json]:
    """Return the events in which an answer comes: a part each, and then the rest of it."""
    [candidate] = objects_in(payload.get("candidates"))
    parts = objects_in(object_at(candidate, "content").get("parts"))
    begun: list[Json] = [
        {"candidates": [{"content": {"role": "model", "parts": [part]}, "index": 0}]}
        for part in parts
    ]
    return [*begun, {**payload, "candidates": [{**candidate, "content": {"role": "model"}}]}]


def pieces_of(*events: Json) -> tuple[list[Piece], ModelResponse]:
    """Return the pieces in events, and the whole answer."""
    pieces = Pieces(ORIGIN.model)
    found = [piece for event in events for piece in pieces.read(event)]
    return found, read_response(pieces.whole(), ORIGIN, pieces.ids)


def body_of(
    request: ModelRequest,
    own: Json | None = None,
    origin: Origin = ORIGIN,
    *,
    on_vertex: bool = False,
) -> dict[str, Any]:
    """Return the body of a request, once the SDK's types have taken all of it."""
    body: dict[str, Any] = json.loads(request_body(request, origin, own or {}, on_vertex=on_vertex))
    check_by_the_sdk(body)
    return body


def check_by_the_sdk(body: Mapping[str, object]) -> None:
    """Hold a request against the SDK's types, which refuse every field that they do not know."""
    known: dict[str, type[BaseModel]] = {
        "contents": types.Content,
        "systemInstruction": types.Content,
        "tools": types.Tool,
        "toolConfig": types.ToolConfig,
        "safetySettings": types.SafetySetting,
        "generationConfig": types.GenerationConfig,
    }
    for name, value in body.items():
        if name in ("cachedContent", "labels", "serviceTier", "store"):
            continue
        for each in value if isinstance(value, Sequence) else [value]:
            known[name].model_validate_json(json.dumps(each))
