"""Responses and their streams in the form of OpenAI's API.

Source: https://developers.openai.com/api/reference/resources/responses and
https://developers.openai.com/api/reference/resources/responses/streaming-events.
"""

import secrets
import time
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from kern.testing.protocols.base import Frame, Json, arguments_of, call_text, halves
from kern.testing.reply import Reply

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

_OPENING = ("response.created", "response.queued", "response.in_progress")


def whole(reply: Reply, body: Mapping[str, Any]) -> Json:
    """Return the finished response."""
    response = new_response(body)
    finish(response, reply)
    return response


def frames(reply: Reply, body: Mapping[str, Any]) -> Iterator[Frame]:
    """Yield the events of the response."""
    return stream(new_response(body), reply)


def error(status: int, message: str, code: str | None = None) -> Json:
    """Return the body of an HTTP error."""
    kind = "server_error" if status >= 500 else "invalid_request_error"
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def id_of(answer: Json) -> str:
    """Return the response's id, given it whole or by the event that begins its stream."""
    return str(answer.get("response", answer)["id"])


def tools_of(body: Mapping[str, Any]) -> dict[str, Json]:
    """Return the schemas of the functions that the request offers, by name."""
    tools = (tool for tool in body.get("tools") or () if tool["type"] == "function")
    return {tool["name"]: tool.get("parameters") or {} for tool in tools}


def messages_of(body: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the conversation that the request holds, as roles and texts."""
    said = [("system", body["instructions"])] if body.get("instructions") else []
    items: list[Json] | str = body["input"]
    if isinstance(items, str):
        items = [{"role": "user", "content": items}]
    for item in items:
        match item.get("type", "message"):
            case "message":
                role = "system" if item["role"] == "developer" else item["role"]
                said += _said(role, item["content"])
            case "function_call":
                said.append(("call", call_text(item["name"], item["arguments"])))
            case "function_call_output":
                said += _said("tool", item["output"])
            case "reasoning":
                text = "".join(part["text"] for part in item.get("summary") or ())
                said.append(("reasoning", text))
            case kind:
                said.append(("media", kind))
    return said


def _said(role: str, content: str | list[Json]) -> list[tuple[str, str]]:
    if isinstance(content, str):
        return [(role, content)]
    texts = [(part["type"], part.get("text", part.get("refusal"))) for part in content]
    return [("media", kind) if text is None else (role, text) for kind, text in texts]


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
    response["usage"] = usage and {
        "input_tokens": usage.input_tokens,
        "input_tokens_details": {
            "cached_tokens": usage.cached_tokens,
            "cache_write_tokens": usage.cache_write_tokens,
        },
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


def stream(response: Json, reply: Reply) -> Iterator[Frame]:
    """Yield the events of the response, which is brought to its end on the way."""
    for number, event in enumerate(_events(response, reply)):
        event["sequence_number"] = number
        name = event["type"]
        kind: Literal["opening", "delta", "other"] = "other"
        if name in _OPENING:
            kind = "opening"
        elif name.endswith(".delta"):
            kind = "delta"
        yield Frame(event, name, kind)


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
            "arguments": arguments_of(arguments),
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
        for delta in halves(item["arguments"]):
            yield {"type": "response.function_call_arguments.delta", **place, "delta": delta}
        yield {
            "type": "response.function_call_arguments.done",
            **place,
            "arguments": item["arguments"],
        }
    yield {"type": "response.output_item.done", "output_index": index, "item": item}


def _part_events(place: Json, part: Json, reply: Reply) -> Iterator[Json]:
    more: Json
    if part["type"] == "refusal":
        name, key, more, deltas = "response.refusal", "refusal", {}, halves(part["refusal"])
    else:
        name, key, more = "response.output_text", "text", {"logprobs": []}
        deltas = reply.deltas if part["text"] == "".join(reply.deltas) else halves(part["text"])
    yield {"type": "response.content_part.added", **place, "part": part | {key: ""}}
    for delta in deltas:
        yield {"type": f"{name}.delta", **place, "delta": delta, **more}
    yield {"type": f"{name}.done", **place, key: part[key], **more}
    yield {"type": "response.content_part.done", **place, "part": part}


def _summary_events(place: Json, part: Json) -> Iterator[Json]:
    name = "response.reasoning_summary"
    text = part["text"]
    yield {"type": f"{name}_part.added", **place, "part": part | {"text": ""}}
    for delta in halves(text):
        yield {"type": f"{name}_text.delta", **place, "delta": delta}
    yield {"type": f"{name}_text.done", **place, "text": text}
    yield {"type": f"{name}_part.done", **place, "part": part}
