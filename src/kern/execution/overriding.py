"""What one run has otherwise than its agent says, put into the spec of its attempts."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace

import msgspec
from typing_extensions import override

from kern.execution.call_rules import CallRules
from kern.execution.context_rules import ContextRules
from kern.execution.spec import Spec
from kern.models.base import CallOptions
from kern.run.base import RunContext
from kern.run.numbers import LARGEST
from kern.run.overrides import ClientTool, Overrides, overrides_of
from kern.tools import Tool, ToolResult


def overridden(spec: Spec, options: Mapping[str, object]) -> Spec:
    """Return an agent as one run has it.

    Args:
        spec: the agent.
        options: those of the run's input.

    Raises:
        ValueError: they are damaged.
    """
    if (overrides := overrides_of(options)) is None:
        return spec
    rules = spec.call_rules or CallRules()
    told = spec.context_rules or ContextRules.of_text(spec.system_message)
    limits = [
        each for each in (spec.tool_call_limit, overrides.tool_call_limit) if each is not None
    ]
    history = (spec.history_runs, spec.history_agents)
    if overrides.whole_history:
        told, history = replace(told, history_messages=None, history_calls=None), (LARGEST, "all")
    if overrides.instructions:
        told = replace(told, parts=replace(told.parts, added=overrides.instructions))
    return msgspec.structs.replace(
        spec,
        call_rules=msgspec.structs.replace(rules, client=_tools(overrides)),
        context_rules=told,
        history_runs=history[0],
        history_agents=history[1],
        tool_choice=spec.tool_choice if overrides.tool_choice is None else overrides.tool_choice,
        tool_call_limit=min(limits, default=None),
        call_options=_options(overrides),
    )


class _ClientsTool(Tool):
    """A tool that the client of a run calls: here it is only offered to the model."""

    def __init__(self, tool: ClientTool) -> None:
        super().__init__(tool.schema)

    @override
    async def execute(
        self, arguments: str, context: RunContext, limit: asyncio.Timeout
    ) -> ToolResult:
        raise AssertionError("its calls are left to the client")


def _tools(overrides: Overrides) -> Mapping[str, Tool]:
    return {each.name: _ClientsTool(each) for each in overrides.tools}


def _options(overrides: Overrides) -> CallOptions | None:
    """Return how the model is to answer; None where nothing is said of that."""
    options = CallOptions(
        overrides.max_output_tokens,
        overrides.reasoning_effort,
        overrides.temperature,
        overrides.top_p,
    )
    return None if options == CallOptions() else options
