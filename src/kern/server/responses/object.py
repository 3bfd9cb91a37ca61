"""The Response object: what a response was asked for, and the JSON that says how it stands."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

import msgspec

from kern.run.metrics import Metrics

Json: TypeAlias = dict[str, Any]
"""A JSON object, as it is encoded."""

Status: TypeAlias = Literal[
    "queued", "in_progress", "completed", "failed", "cancelled", "incomplete"
]
"""How a response stands."""


CUT_OFF = "OutputLimitError"
"""What a run fails of whose model had no more tokens for its answer."""


class ResponseView(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a response before anything has happened: what it was asked for.

    The object echoes all of it but ``run_id`` and ``server_label``.

    Attributes:
        id: the response, ``resp_<run>`` or ``resp_<run>.<pause>``; ids of its items derive from it.
        run_id: the run; events of others, its children, are left out.
        model: the agent, as the request has named it.
        server_label: the agent's id, at which its own tools are called.
        created_at: when it was accepted, in seconds since 1970.
        background: whether it may wait; then it begins as ``queued``.
        previous_response_id: the response that it goes on from.
        conversation: the id of its conversation, where the request has named one.
        instructions: what the agent is told for it alone.
        metadata: what the caller attached.
        tools: the tools that the client calls, as the request has them.
        tool_choice: which of them are called, as the request has it.
        parallel_tool_calls: whether several calls may be made at once.
        text: the form of the answer, as the request has it: ``{"format": {"type": …}}``.
        max_output_tokens: how many tokens a model call may produce.
        max_tool_calls: how many calls of the agent's own tools may be made.
        reasoning: how much the model reasons, as the request has it.
        store: whether it can be read once it has ended.
        temperature: how varied the model's words are.
        top_p: the share of likely words that the model chooses from.
        truncation: what becomes of a conversation that is too long.
        user: what the caller calls its user.
        safety_identifier: the same, under its later name.
        prompt_cache_key: what the caller's similar requests have in common.
        service_tier: how it was asked to be served.
        top_logprobs: how many likely words the model is to name.
    """

    id: str
    run_id: str
    model: str
    server_label: str
    created_at: float
    background: bool = False
    previous_response_id: str | None = None
    conversation: str | None = None
    instructions: str | Sequence[object] | None = None
    metadata: Mapping[str, str] = {}
    tools: Sequence[Json] = ()
    tool_choice: str | Json = "auto"
    parallel_tool_calls: bool = True
    text: Json = msgspec.field(default_factory=lambda: {"format": {"type": "text"}})
    max_output_tokens: int | None = None
    max_tool_calls: int | None = None
    reasoning: Json = msgspec.field(default_factory=lambda: {"effort": None, "summary": None})
    store: bool = True
    temperature: float | None = None
    top_p: float | None = None
    truncation: str = "disabled"
    user: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    service_tier: str | None = None
    top_logprobs: int | None = None

    @property
    def is_json(self) -> bool:
        """Whether clients read its text as JSON."""
        form: Json = self.text.get("format") or {}
        return form.get("type") in ("json_schema", "json_object")


class Standing(msgspec.Struct, kw_only=True):
    """How a response stands.

    Attributes:
        status: in one word.
        usage: what it has used, once it has ended.
        error: what it has failed of; see :func:`error_of`.
        incomplete_reason: why it is incomplete, where there is a word for that.
        completed_at: when it was completed, in seconds since 1970.
    """

    status: Status
    usage: Json | None = None
    error: Json | None = None
    incomplete_reason: str | None = None
    completed_at: float | None = None


def response_object(view: ResponseView, standing: Standing, output: list[Json]) -> Json:
    """Return a response as JSON values, with OpenAI's defaults where nothing was asked for.

    Args:
        view: what it was asked for.
        standing: how it stands.
        output: its items.
    """
    reason, completed_at = standing.incomplete_reason, standing.completed_at
    conversation = view.conversation
    return {
        "id": view.id,
        "object": "response",
        "created_at": int(view.created_at),
        "status": standing.status,
        "background": view.background,
        "completed_at": None if completed_at is None else int(completed_at),
        "conversation": None if conversation is None else {"id": conversation},
        "error": standing.error,
        "frequency_penalty": 0.0,
        "incomplete_details": None if reason is None else {"reason": reason},
        "instructions": view.instructions,
        "max_output_tokens": view.max_output_tokens,
        "max_tool_calls": view.max_tool_calls,
        "metadata": view.metadata,
        "model": view.model,
        "output": output,
        "parallel_tool_calls": view.parallel_tool_calls,
        "presence_penalty": 0.0,
        "previous_response_id": view.previous_response_id,
        "prompt_cache_key": view.prompt_cache_key,
        "reasoning": view.reasoning,
        "safety_identifier": view.safety_identifier,
        "service_tier": view.service_tier or "default",
        "store": view.store,
        "temperature": 1.0 if view.temperature is None else view.temperature,
        "text": view.text,
        "tool_choice": view.tool_choice,
        "tools": view.tools,
        "top_logprobs": view.top_logprobs or 0,
        "top_p": 1.0 if view.top_p is None else view.top_p,
        "truncation": view.truncation,
        "usage": standing.usage,
        "user": view.user,
    }


def usage_of(used: Metrics, before: Metrics | None = None) -> Json:
    """Return what a response has used.

    Args:
        used: what its run has used.
        before: what of that belongs to earlier responses.
    """
    earlier = before or Metrics()
    return {
        "input_tokens": used.input_tokens - earlier.input_tokens,
        "input_tokens_details": {
            "cached_tokens": used.cached_tokens - earlier.cached_tokens,
            "cache_write_tokens": used.cache_write_tokens - earlier.cache_write_tokens,
        },
        "output_tokens": used.output_tokens - earlier.output_tokens,
        "output_tokens_details": {
            "reasoning_tokens": used.reasoning_tokens - earlier.reasoning_tokens
        },
        "total_tokens": used.total_tokens - earlier.total_tokens,
    }


def error_of(code: str, message: str | None) -> Json:
    """Return what a response has failed of.

    Args:
        code: a word for it.
        message: what happened.

    Example:
        >>> error_of("rate_limit_exceeded", "Too many requests.")["message"]
        'Too many requests.'
    """
    kind = "invalid_request_error" if code == "invalid_prompt" else "server_error"
    return {"type": kind, "code": code, "message": message or "The run failed.", "param": None}


def code_of(kind: str | None) -> str:
    """Return OpenAI's word for what a run has failed of.

    Args:
        kind: its class, such as ``"ModelError"``.

    Example:
        >>> code_of("ModelRateLimitError")
        'rate_limit_exceeded'
    """
    return _CODES.get(kind or "", "server_error")


_CODES: Mapping[str, str] = {
    "ModelRateLimitError": "rate_limit_exceeded",
    "BudgetExceededError": "rate_limit_exceeded",
    "ContextWindowExceededError": "invalid_prompt",
    "InputCheckError": "invalid_prompt",
    "InvalidInputError": "invalid_prompt",
    "ServerShutdownError": "server_shutdown",
}
"""What OpenAI calls errors of runs, and one that it has no word for; the others are a
``server_error``."""
