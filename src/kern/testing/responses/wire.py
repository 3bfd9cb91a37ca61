"""Responses and their streams in the form of OpenAI's API.

Source: https://developers.openai.com/api/reference/resources/responses and
https://developers.openai.com/api/reference/resources/responses/streaming-events.
"""

import json
import secrets
import time
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from kern.testing.responses.reply import Reply

Json: TypeAlias = dict[str, Any]

_ECHOED: Json = {
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "metadata": {},
    "model": "scripted",
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "prompt_cache_key": None,
    "reasoning": {"effort": None, "summary": None},
    "safety_identifier": None,
    "service_tier": "default",
    "store": True,
    "temperature": 1.0,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_logprobs": 0,
    "top_p": 1.0,
    "truncation": "disabled",
    "user": None,
}


def new_response(body: Mapping[str, Any]) -> Json:
    """Return the response to this request body before anything is generated."""
    background = bool(body.get("background"))
    return {
        "id": _new_id("resp"),
        "object": "response",
        "created_at": int(time.time()),
        "status": "queued" if background else "in_progress",
        "background": background,
        "completed_at": None,
        "error": None,
        "incomplete_details": None,
        "output": [],
        "usage": None,
    } | {key: body.get(key, default) for key, default in _ECHOED.items()}


def finish(response: Json, reply: Reply) -> None:
    """Bring the response to the end that the reply says."""
    usage = reply.usage
    response["status"] = reply.status
    response["output"] = _output(reply)
    response["usage"] = {
        "input_tokens": usage.input_tokens,
        "input_tokens_details": {"cached_tokens": usage.cached_tokens, "cache_write_tokens": 0},
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.input_tokens + usage.output_tokens,
    }
    if reply.status == "completed":
        response["completed_at"] = int(time.time())
    elif reply.status == "incomplete":
        response["incomplete_details"] = {"reason": reply.reason}
    elif reply.error:
        code, message = reply.error
        response["error"] = {"code": code, "message": message}


def stream(response: Json, reply: Reply) -> Iterator[Json]:
    """Yield the events of the response, which is brought to its end on the way."""
    for number, event in enumerate(_events(response, reply)):
        event["sequence_number"] = number
        yield event


def _new_id(prefix: str) -> str:
    return f"{prefix}_{secrets.token_hex(16)}"


def _output(reply: Reply) -> list[Json]:
    status = "incomplete" if reply.status == "incomplete" else "completed"
    items: list[Json] = [
        {
            "id": _new_id("rs"),
            "type": "reasoning",
            "summary": [{"type": "summary_text", "text": one.summary}] if one.summary else [],
            "encrypted_content": one.encrypted_content,
        }
        for one in reply.reasoning
    ]
    part: Json | None = None
    if reply.refused is not None:
        part = {"type": "refusal", "refusal": reply.refused}
    elif reply.deltas:
        text = "".join(reply.deltas)
        part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    if part:
        items.append(
            {
                "id": _new_id("msg"),
                "type": "message",
                "role": "assistant",
                "status": status,
                "content": [part],
            }
        )
    items += [
        {
            "id": _new_id("fc"),
            "type": "function_call",
            "status": status,
            "call_id": _new_id("call"),
            "name": name,
            "arguments": arguments if isinstance(arguments, str) else json.dumps(dict(arguments)),
        }
        for name, arguments in reply.calls
    ]
    return items + [dict(item) for item in reply.items]


def _events(response: Json, reply: Reply) -> Iterator[Json]:
    yield {"type": "response.created", "response": dict(response)}
    if response["status"] == "queued":
        yield {"type": "response.queued", "response": dict(response)}
        response["status"] = "in_progress"
    yield {"type": "response.in_progress", "response": dict(response)}
    ended = dict(response)
    finish(ended, reply)
    for index, item in enumerate(ended["output"]):
        yield from _item_events(index, item, reply)
    response.update(ended)
    yield {"type": f"response.{reply.status}", "response": ended}


def _item_events(index: int, item: Json, reply: Reply) -> Iterator[Json]:
    place = {"item_id": item.get("id"), "output_index": index}
    added = {"type": "response.output_item.added", "output_index": index}
    kind = item["type"]
    if kind == "reasoning":
        yield added | {"item": item | {"summary": []}}
        for number, part in enumerate(item.get("summary") or ()):
            yield from _summary_events(place | {"summary_index": number}, part)
    elif kind == "message":
        yield added | {"item": item | {"status": "in_progress", "content": []}}
        for number, part in enumerate(item["content"]):
            yield from _part_events(place | {"content_index": number}, part, reply)
    elif kind != "function_call" or not isinstance(item.get("arguments"), str):
        yield added | {"item": item}
    else:
        yield added | {"item": item | {"status": "in_progress", "arguments": ""}}
        for delta in _halves(item["arguments"]):
            yield {"type": "response.function_call_arguments.delta", **place, "delta": delta}
        yield {
            "type": "response.function_call_arguments.done",
            **place,
            "name": item.get("name"),
            "arguments": item["arguments"],
        }
    yield {"type": "response.output_item.done", "output_index": index, "item": item}


def _part_events(place: Json, part: Json, reply: Reply) -> Iterator[Json]:
    more: Json
    if part["type"] == "refusal":
        name, key, more, deltas = "response.refusal", "refusal", {}, _halves(part["refusal"])
    else:
        name, key, more = "response.output_text", "text", {"logprobs": []}
        deltas = reply.deltas if part["text"] == "".join(reply.deltas) else _halves(part["text"])
    yield {"type": "response.content_part.added", **place, "part": part | {key: ""}}
    for delta in deltas:
        yield {"type": f"{name}.delta", **place, "delta": delta, **more}
    yield {"type": f"{name}.done", **place, key: part[key], **more}
    yield {"type": "response.content_part.done", **place, "part": part}


def _summary_events(place: Json, part: Json) -> Iterator[Json]:
    name = "response.reasoning_summary"
    text = part["text"]
    yield {"type": f"{name}_part.added", **place, "part": part | {"text": ""}}
    for delta in _halves(text):
        yield {"type": f"{name}_text.delta", **place, "delta": delta}
    yield {"type": f"{name}_text.done", **place, "text": text}
    yield {"type": f"{name}_part.done", **place, "part": part}


def _halves(text: str) -> tuple[str, ...]:
    middle = len(text) // 2
    return tuple(piece for piece in (text[:middle], text[middle:]) if piece)
