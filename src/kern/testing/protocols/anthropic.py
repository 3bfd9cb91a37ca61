"""Messages in the form of Anthropic's API.

Source: https://platform.claude.com/docs/en/api/messages and
https://platform.claude.com/docs/en/build-with-claude/streaming.
"""

import json
import secrets
from collections.abc import Iterator, Mapping
from typing import Any

from kern.testing.protocols.base import Frame, Json, arguments_of, call_text, halves
from kern.testing.reply import Reply, Usage

_ERRORS = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_STOP_REASONS = {"max_output_tokens": "max_tokens", "content_filter": "refusal"}


def whole(reply: Reply, body: Mapping[str, Any]) -> Json:
    """Return the message, or what a proxy sends with HTTP 200 where the model failed."""
    if reply.error:
        return _failure(*reply.error)
    message = _message(body) | {"content": _blocks(reply)} | _stop(reply)
    return message | {"usage": _usage(reply.usage)} if reply.usage else message


def frames(reply: Reply, body: Mapping[str, Any]) -> Iterator[Frame]:
    """Yield the events of the message."""
    message = _message(body)
    if reply.usage:
        message["usage"] = _usage(reply.usage) | {"output_tokens": 1}
    yield _frame({"type": "message_start", "message": message}, "opening")
    yield _frame({"type": "ping"}, "opening")
    for index, block in enumerate(_blocks(reply)):
        yield from _block_frames(index, block, reply)
    if reply.error:
        yield _frame(_failure(*reply.error))
        return
    end = {"type": "message_delta", "delta": _stop(reply)}
    yield _frame(end | {"usage": _usage_at_end(reply.usage)} if reply.usage else end)
    yield _frame({"type": "message_stop"})


def error(status: int, message: str, code: str | None = None) -> Json:
    """Return the body of an HTTP error; the code, where there is one, is its type."""
    fallback = "api_error" if status >= 500 else "invalid_request_error"
    return _failure(code or _ERRORS.get(status, fallback), message)


def id_of(answer: Json) -> str:
    """Return the message's id, given it whole or by the event that begins its stream."""
    return str(answer.get("message", answer).get("id", ""))


def tools_of(body: Mapping[str, Any]) -> dict[str, Json]:
    """Return the schemas of the functions that the request offers, by name."""
    tools = body.get("tools") or ()
    return {tool["name"]: tool["input_schema"] for tool in tools if "input_schema" in tool}


def messages_of(body: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the conversation that the request holds, as roles and texts."""
    said = [_said("system", block) for block in _as_blocks(body.get("system") or [])]
    for message in body["messages"]:
        said += [_said(message["role"], block) for block in _as_blocks(message["content"])]
    return said


def _as_blocks(content: str | list[Json]) -> list[Json]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _said(role: str, block: Json) -> tuple[str, str]:
    match block["type"]:
        case "text":
            return role, block["text"]
        case "thinking":
            return "reasoning", block["thinking"]
        case "redacted_thinking":
            return "reasoning", ""
        case "tool_use":
            return "call", call_text(block["name"], block["input"])
        case "tool_result":
            parts = _as_blocks(block.get("content") or [])
            return "tool", "".join(part.get("text", f"<{part['type']}>") for part in parts)
        case kind:
            return "media", kind


def _message(body: Mapping[str, Any]) -> Json:
    return {
        "id": f"msg_{secrets.token_hex(12)}",
        "type": "message",
        "role": "assistant",
        "model": body.get("model", "scripted"),
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
    }


def _blocks(reply: Reply) -> list[Json]:
    blocks: list[Json] = []
    for one in reply.reasoning:
        if one.encrypted_content and not one.summary:
            blocks.append({"type": "redacted_thinking", "data": one.encrypted_content})
        else:
            signature = one.encrypted_content or ""
            blocks.append({"type": "thinking", "thinking": one.summary, "signature": signature})
    if reply.deltas:
        blocks.append({"type": "text", "text": "".join(reply.deltas), "citations": None})
    for name, arguments in reply.calls:
        identifier = f"toolu_{secrets.token_hex(12)}"
        blocks.append(
            {"type": "tool_use", "id": identifier, "name": name, "input": _input(arguments)}
        )
    return blocks + [dict(item) for item in reply.items]


def _input(arguments: Mapping[str, Any] | str) -> object:
    """Return arguments as an object, where they are one; else what the model wrote."""
    try:
        return json.loads(arguments) if isinstance(arguments, str) else dict(arguments)
    except ValueError:
        return arguments


def _block_frames(index: int, block: Json, reply: Reply) -> Iterator[Frame]:
    start, deltas = block, list[tuple[Json, bool]]()
    match block["type"]:
        case "text":
            text = block["text"]
            pieces = reply.deltas if text == "".join(reply.deltas) else halves(text)
            start = block | {"text": ""}
            deltas = [({"type": "text_delta", "text": piece}, True) for piece in pieces]
        case "thinking":
            start = block | {"thinking": "", "signature": ""}
            pieces = halves(block["thinking"])
            deltas = [({"type": "thinking_delta", "thinking": piece}, True) for piece in pieces]
            deltas.append(({"type": "signature_delta", "signature": block["signature"]}, False))
        case "tool_use":
            start = block | {"input": {}}
            pieces = halves(arguments_of(block["input"]))
            deltas = [
                ({"type": "input_json_delta", "partial_json": piece}, True) for piece in pieces
            ]
    yield _frame({"type": "content_block_start", "index": index, "content_block": start})
    for delta, counts in deltas:
        event = {"type": "content_block_delta", "index": index, "delta": delta}
        yield _frame(event, "delta" if counts else "other")
    yield _frame({"type": "content_block_stop", "index": index})


def _stop(reply: Reply) -> Json:
    if reply.refused is not None:
        details = {"type": "refusal", "category": None, "explanation": reply.refused}
        return {"stop_reason": "refusal", "stop_sequence": None, "stop_details": details}
    reason = "tool_use" if reply.calls else "end_turn"
    if reply.status == "incomplete":
        reason = _STOP_REASONS.get(reply.reason, reply.reason)
    return {"stop_reason": reason, "stop_sequence": None, "stop_details": None}


def _usage(usage: Usage) -> Json:
    return _usage_at_end(usage) | {"service_tier": "standard"}


def _usage_at_end(usage: Usage) -> Json:
    return {
        "input_tokens": usage.input_tokens - usage.cached_tokens - usage.cache_write_tokens,
        "cache_creation_input_tokens": usage.cache_write_tokens,
        "cache_read_input_tokens": usage.cached_tokens,
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"thinking_tokens": usage.reasoning_tokens},
    }


def _failure(kind: str, message: str) -> Json:
    identifier = f"req_{secrets.token_hex(12)}"
    return {
        "type": "error",
        "error": {"type": kind, "message": message},
        "request_id": identifier,
    }


def _frame(data: Json, kind: Any = "other") -> Frame:
    return Frame(data, data["type"], kind)
