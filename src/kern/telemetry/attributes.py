"""What spans and metrics say of runs and their calls, by the names of the semantic conventions."""

from collections.abc import Mapping
from typing import Final

from kern.errors import KernError
from kern.models.base import Model, ModelRequest, ModelResponse
from kern.run.agent import RunOutput
from kern.run.base import RunInfo
from kern.run.tool import ToolCall
from kern.telemetry.spans import Value

ERROR_TYPE: Final = "error.type"
AGENT_NAME: Final = "gen_ai.agent.name"
AGENT_ID: Final = "kern.agent.id"
STATUS: Final = "kern.run.status"

_OPERATION: Final = "gen_ai.operation.name"
_CONVERSATION: Final = "gen_ai.conversation.id"

# The providers that the conventions have names for; others have kern's, in lower case.
_PROVIDERS = {
    "OpenAI": "openai",
    "Anthropic": "anthropic",
    "Azure": "azure.ai.openai",
    "Bedrock": "aws.bedrock",
    "DeepSeek": "deepseek",
    "Google": "gcp.gemini",
    "Groq": "groq",
    "Mistral": "mistral_ai",
    "xAI": "x_ai",
}

# By the attribute of a request the names that it has in the options and settings of a call.
_ASKED = {
    "gen_ai.request.max_tokens": ("max_output_tokens", "max_completion_tokens", "max_tokens"),
    "gen_ai.request.temperature": ("temperature",),
    "gen_ai.request.top_p": ("top_p",),
    "gen_ai.request.top_k": ("top_k",),
    "gen_ai.request.frequency_penalty": ("frequency_penalty",),
    "gen_ai.request.presence_penalty": ("presence_penalty",),
    "gen_ai.request.seed": ("seed",),
    "gen_ai.request.reasoning.level": ("reasoning_effort",),
}

_REASONS = {"tool_calls": "tool_call"}


def agent_attributes(run: RunInfo) -> dict[str, Value]:
    """Return what a span says of an attempt as it begins."""
    found: dict[str, Value] = {
        _OPERATION: "invoke_agent",
        AGENT_NAME: name_of(run),
        _CONVERSATION: run.session_id,
        AGENT_ID: run.agent_id,
        "kern.run.id": run.run_id,
        "kern.run.attempt": run.attempt,
    }
    if run.parent_run_id is not None:
        found["kern.run.parent_id"] = run.parent_run_id
    return found


def name_of(run: RunInfo) -> str:
    """Return what people call the agent of a run."""
    return run.agent_name or run.agent_id


def call_attributes(run: RunInfo, model: Model, request: ModelRequest) -> dict[str, Value]:
    """Return what a span says of a model call as it begins."""
    found: dict[str, Value] = {**model_attributes(model), _CONVERSATION: run.session_id}
    if request.output_schema is not None:
        found["gen_ai.output.type"] = "json"
    asked = request.options
    for name, given in _ASKED.items() if asked or request.settings else ():
        said = (request.settings.get(each, getattr(asked, each, None)) for each in given)
        value = next((each for each in said if isinstance(each, str | int | float)), None)
        if value is not None:
            found[name] = value
    return found


def model_attributes(model: Model) -> dict[str, Value]:
    """Return what spans and metrics say of a model that is asked."""
    provider = _PROVIDERS.get(model.provider) or model.provider.lower().replace(" ", "_")
    return {
        _OPERATION: "chat",
        "gen_ai.provider.name": provider,
        "gen_ai.request.model": model.id,
        **_server(model.server_address or ""),
    }


def answer_attributes(response: ModelResponse) -> dict[str, Value]:
    """Return what a span says of an answer."""
    used = response.metrics
    found: dict[str, Value] = {
        "gen_ai.response.finish_reasons": [
            _REASONS.get(response.finish_reason, response.finish_reason)
        ],
        **usage_attributes(used.input_tokens, used.output_tokens),
    }
    more: Mapping[str, Value | None] = {
        "gen_ai.response.id": response.id,
        "gen_ai.response.model": response.model,
        "gen_ai.response.time_to_first_chunk": used.time_to_first_token,
        "gen_ai.usage.cache_read.input_tokens": used.cached_tokens or None,
        "gen_ai.usage.cache_write.input_tokens": used.cache_write_tokens or None,
        "gen_ai.usage.reasoning.output_tokens": used.reasoning_tokens or None,
        "kern.usage.cost": used.cost,
    }
    return found | {name: value for name, value in more.items() if value is not None}


def usage_attributes(input_tokens: int, output_tokens: int) -> dict[str, Value]:
    """Return what was used, in tokens."""
    return {
        "gen_ai.usage.input_tokens": input_tokens,
        "gen_ai.usage.output_tokens": output_tokens,
    }


def tool_attributes(run: RunInfo, call: ToolCall) -> dict[str, Value]:
    """Return what a span says of a tool call as it begins."""
    return {
        _OPERATION: "execute_tool",
        "gen_ai.tool.name": call.name,
        "gen_ai.tool.type": "function",
        "gen_ai.tool.call.id": call.id,
        AGENT_NAME: name_of(run),
        _CONVERSATION: run.session_id,
    }


def is_own(run: RunInfo, output: RunOutput) -> bool:
    """Say whether an attempt has settled its run itself; a stale one has not."""
    return output.attempt == run.attempt


def error_of(error: BaseException) -> str:
    """Return the kind of an error: its class, with its module where that is not kern's."""
    kind = type(error)
    known = isinstance(error, KernError) or kind.__module__ == "builtins"
    return kind.__qualname__ if known else f"{kind.__module__}.{kind.__qualname__}"


def _server(address: str) -> dict[str, Value]:
    """Return host and port of a server, such as ``api.openai.com/v1``."""
    host, colon, port = address.partition("/")[0].rpartition(":")
    if not colon:
        host, port = port, "443"
    return {"server.address": host, "server.port": int(port)} if host and port.isdigit() else {}
