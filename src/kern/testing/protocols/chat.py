"""Chat Completions in the form of OpenAI's API.

Source: https://developers.openai.com/api/reference/resources/chat. ``reasoning_content`` and
``reasoning_details`` are not OpenAI's: servers that speak the protocol send a model's thoughts so.
"""

import secrets
import time
from collections.abc import Iterator, Mapping
from typing import Any

from kern.testing.protocols.base import Frame, Json, arguments_of, call_text, halves
from kern.testing.protocols.responses import error
from kern.testing.reply import Reply, Usage

__all__ = ["error", "frames", "id_of", "messages_of", "tools_of", "whole"]


def whole(reply: Reply, body: Mapping[str, Any]) -> Json:
    """Return the completion, or what a server sends with HTTP 200 where the model failed."""
    if reply.error:
        return _failure(*reply.error)
    message: Json = {
        "role": "assistant",
        "content": "".join(reply.deltas) if reply.deltas else None,
        "refusal": reply.refused,
    }
    thoughts = "".join(one.summary for one in reply.reasoning)
    if thoughts:
        message["reasoning_content"] = thoughts
    if details := _details(reply):
        message["reasoning_details"] = details
    if reply.calls:
        message["tool_calls"] = [
            {
                "id": _call_id(),
                "type": "function",
                "function": {"name": name, "arguments": arguments_of(arguments)},
            }
            for name, arguments in reply.calls
        ]
    for item in reply.items:
        message.update(item)
    choice = {
        "index": 0,
        "message": message,
        "logprobs": None,
        "finish_reason": _finish_reason(reply),
    }
    completion = _head(body, "chat.completion") | {"choices": [choice]}
    return completion | {"usage": _usage(reply.usage)} if reply.usage else completion


def frames(reply: Reply, body: Mapping[str, Any]) -> Iterator[Frame]:
    """Yield the chunks of the completion, and the mark of its end."""
    head = _head(body, "chat.completion.chunk")

    def chunk(delta: Json, finish: str | None = None) -> Json:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return head | {"choices": [choice]}

    yield Frame(chunk({"role": "assistant", "content": "", "refusal": None}), kind="opening")
    for one in reply.reasoning:
        for piece in halves(one.summary):
            yield Frame(chunk({"reasoning_content": piece}), kind="delta")
    if details := _details(reply):
        yield Frame(chunk({"reasoning_details": details}))
    for piece in halves(reply.refused or ""):
        yield Frame(chunk({"refusal": piece}), kind="delta")
    for piece in reply.deltas:
        yield Frame(chunk({"content": piece}), kind="delta")
    for index, (name, arguments) in enumerate(reply.calls):
        function = {"name": name, "arguments": ""}
        call = {"index": index, "id": _call_id(), "type": "function", "function": function}
        yield Frame(chunk({"tool_calls": [call]}))
        for piece in halves(arguments_of(arguments)):
            call = {"index": index, "function": {"arguments": piece}}
            yield Frame(chunk({"tool_calls": [call]}), kind="delta")
    for item in reply.items:
        yield Frame(chunk(dict(item)))
    if reply.error:
        yield Frame(_failure(*reply.error))
    else:
        yield Frame(chunk({}, _finish_reason(reply)))
        if reply.usage and (body.get("stream_options") or {}).get("include_usage"):
            yield Frame(head | {"choices": [], "usage": _usage(reply.usage)})
    yield Frame("[DONE]")


def id_of(answer: Json) -> str:
    """Return the completion's id."""
    return str(answer.get("id", ""))


def tools_of(body: Mapping[str, Any]) -> dict[str, Json]:
    """Return the schemas of the functions that the request offers, by name."""
    functions = (tool["function"] for tool in body.get("tools") or () if "function" in tool)
    return {each["name"]: each.get("parameters") or {} for each in functions}


def messages_of(body: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the conversation that the request holds, as roles and texts."""
    said: list[tuple[str, str]] = []
    for message in body["messages"]:
        role = "system" if message["role"] == "developer" else message["role"]
        if thoughts := message.get("reasoning_content"):
            said.append(("reasoning", thoughts))
        content = message.get("content") or []
        for part in [{"type": "text", "text": content}] if isinstance(content, str) else content:
            text = part.get("text", part.get("refusal"))
            said.append(("media", part["type"]) if text is None else (role, text))
        said += [
            ("call", call_text(call["function"]["name"], call["function"]["arguments"]))
            for call in message.get("tool_calls") or ()
        ]
    return said


def _head(body: Mapping[str, Any], kind: str) -> Json:
    return {
        "id": f"chatcmpl-{secrets.token_hex(14)}",
        "object": kind,
        "created": int(time.time()),
        "model": body.get("model", "scripted"),
        "service_tier": "default",
        "system_fingerprint": None,
    }


def _finish_reason(reply: Reply) -> str:
    if reply.status == "incomplete":
        return {"max_output_tokens": "length"}.get(reply.reason, reply.reason)
    return "tool_calls" if reply.calls else "stop"


def _usage(usage: Usage) -> Json:
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
        "prompt_tokens_details": {
            "cached_tokens": usage.cached_tokens,
            "audio_tokens": usage.audio_input_tokens,
            "cache_write_tokens": usage.cache_write_tokens,
        },
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning_tokens,
            "audio_tokens": usage.audio_output_tokens,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def _details(reply: Reply) -> list[Json]:
    return [
        {"type": "reasoning.encrypted", "data": one.encrypted_content}
        for one in reply.reasoning
        if one.encrypted_content
    ]


def _failure(code: str, message: str) -> Json:
    return {"error": {"message": message, "type": code, "param": None, "code": code}}


def _call_id() -> str:
    return f"call_{secrets.token_hex(12)}"
