"""Generated content in the form of Google's Gemini API.

Source: https://ai.google.dev/api/generate-content. It has no refusals: what a reply refuses ends
with the reason ``PROHIBITED_CONTENT``; and no arguments that are no JSON: a call that has such ends
with ``MALFORMED_FUNCTION_CALL``. A signature goes out in base64, as bytes do in this protocol.
"""

import base64
import json
import secrets
from collections.abc import Iterator, Mapping
from typing import Any

from kern.testing.protocols.base import Frame, Json, call_text, halves
from kern.testing.reply import Reply, Usage

_ERRORS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    408: "DEADLINE_EXCEEDED",
    409: "ABORTED",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_FINISH_REASONS = {"max_output_tokens": "MAX_TOKENS", "content_filter": "SAFETY"}


def whole(reply: Reply, body: Mapping[str, Any]) -> Json:
    """Return the answer, or what a proxy sends with HTTP 200 where the model failed."""
    if reply.error:
        return _failure(*reply.error)
    return _answer(_head(body), _parts(reply), reply, end=True)


def frames(reply: Reply, body: Mapping[str, Any]) -> Iterator[Frame]:
    """Yield the answer in pieces, each an answer of its own."""
    head = _head(body)
    for part in _parts(reply):
        for piece in _pieces(part, reply):
            yield Frame(_answer(head, [piece], reply), kind="delta")
    if reply.error:
        yield Frame(_failure(*reply.error))
    else:
        yield Frame(_answer(head, [{"text": ""}], reply, end=True))


def error(status: int, message: str, code: str | None = None) -> Json:
    """Return the body of an HTTP error; the code, where there is one, is its ``status``."""
    kind = code or _ERRORS.get(status, "INTERNAL" if status >= 500 else "FAILED_PRECONDITION")
    return {"error": {"code": status, "message": message, "status": kind}}


def id_of(answer: Json) -> str:
    """Return the answer's id, given it whole or by the first piece of its stream."""
    return str(answer.get("responseId", ""))


def tools_of(body: Mapping[str, Any]) -> dict[str, Json]:
    """Return the schemas of the functions that the request offers, by name."""
    functions = (
        function
        for tool in body.get("tools") or ()
        for function in tool.get("functionDeclarations", ())
    )
    return {
        each["name"]: each.get("parametersJsonSchema") or each.get("parameters") or {}
        for each in functions
    }


def messages_of(body: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the conversation that the request holds, as roles and texts."""
    system = (body.get("systemInstruction") or {}).get("parts", ())
    said = [_said("system", part) for part in system]
    for content in body["contents"]:
        role = "assistant" if content.get("role") == "model" else "user"
        said += [_said(role, part) for part in content.get("parts", ())]
    return said


def _said(role: str, part: Json) -> tuple[str, str]:
    if call := part.get("functionCall"):
        return "call", call_text(call["name"], call.get("args") or {})
    if result := part.get("functionResponse"):
        response = result["response"]
        text = response.get("output", response.get("result", response.get("error")))
        return "tool", text if isinstance(text, str) else json.dumps(response)
    if "text" in part:
        return "reasoning" if part.get("thought") else role, part["text"]
    return "media", next(key for key in part if key != "thoughtSignature")


def _head(body: Mapping[str, Any]) -> Json:
    return {
        "responseId": secrets.token_urlsafe(16),
        "modelVersion": body.get("model", "scripted"),
    }


def _answer(head: Json, parts: list[Json], reply: Reply, *, end: bool = False) -> Json:
    candidate: Json = {"content": {"role": "model", "parts": parts}, "index": 0}
    if end:
        candidate |= _finish(reply)
    answer = {"candidates": [candidate], **head}
    return answer | {"usageMetadata": _usage(reply.usage)} if reply.usage else answer


def _parts(reply: Reply) -> list[Json]:
    parts: list[Json] = [
        {"text": one.summary, "thought": True} for one in reply.reasoning if one.summary
    ]
    shown = len(parts)
    if reply.deltas:
        parts.append({"text": "".join(reply.deltas)})
    for name, arguments in reply.calls:
        if (args := _object(arguments)) is not None:
            call = {"id": secrets.token_hex(4), "name": name, "args": args}
            parts.append({"functionCall": call})
    parts += [dict(item) for item in reply.items]
    signatures = [one.encrypted_content for one in reply.reasoning if one.encrypted_content]
    if signatures:
        # The service signs the first call; without calls, the last part.
        place = next((i for i, part in enumerate(parts) if "functionCall" in part), len(parts) - 1)
        if place < shown:
            parts.append({"text": ""})
            place = len(parts) - 1
        parts[place]["thoughtSignature"] = base64.b64encode(signatures[-1].encode()).decode()
    return parts


def _pieces(part: Json, reply: Reply) -> list[Json]:
    text = part.get("text")
    if not text:
        return [part]
    whole_text = not part.get("thought") and text == "".join(reply.deltas)
    signature = {key: value for key, value in part.items() if key == "thoughtSignature"}
    rest = {key: value for key, value in part.items() if key != "thoughtSignature"}
    pieces = [rest | {"text": piece} for piece in (reply.deltas if whole_text else halves(text))]
    return [*pieces, {"text": "", **signature}] if signature else pieces


def _object(arguments: Mapping[str, Any] | str) -> Json | None:
    try:
        parsed = json.loads(arguments) if isinstance(arguments, str) else dict(arguments)
    except ValueError:
        return None
    return parsed if isinstance(parsed, dict) else None


def _finish(reply: Reply) -> Json:
    if reply.refused is not None:
        return {"finishReason": "PROHIBITED_CONTENT", "finishMessage": reply.refused}
    for name, arguments in reply.calls:
        if _object(arguments) is None:
            message = f"Malformed function call: {call_text(name, arguments)}"
            return {"finishReason": "MALFORMED_FUNCTION_CALL", "finishMessage": message}
    if reply.status == "incomplete":
        return {"finishReason": _FINISH_REASONS.get(reply.reason, reply.reason)}
    return {"finishReason": "STOP"}


def _usage(usage: Usage) -> Json:
    counts: Json = {
        "promptTokenCount": usage.input_tokens,
        "candidatesTokenCount": usage.output_tokens - usage.reasoning_tokens,
        "totalTokenCount": usage.input_tokens + usage.output_tokens,
    }
    if usage.cached_tokens:
        counts["cachedContentTokenCount"] = usage.cached_tokens
    if usage.reasoning_tokens:
        counts["thoughtsTokenCount"] = usage.reasoning_tokens
    for key, audio in (
        ("promptTokensDetails", usage.audio_input_tokens),
        ("candidatesTokensDetails", usage.audio_output_tokens),
    ):
        if audio:
            counts[key] = [{"modality": "AUDIO", "tokenCount": audio}]
    return counts


def _failure(code: str, message: str) -> Json:
    return {"error": {"code": 500, "message": message, "status": code}}
