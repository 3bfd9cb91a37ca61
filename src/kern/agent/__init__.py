"""Agents: their definition, what can be done with them, and what comes of it."""

from kern.agent.agent import Agent
from kern.agent.handoff import Handoff
from kern.execution.answering import FollowupConfig
from kern.models.fallback import FallbackConfig
from kern.run.agent import (
    CompactionCompletedEvent,
    CompactionStartedEvent,
    CompressionCompletedEvent,
    CompressionStartedEvent,
    CustomEvent,
    FollowupsCompletedEvent,
    FollowupsStartedEvent,
    MemoryUpdateCompletedEvent,
    MemoryUpdateStartedEvent,
    ModelRequestCompletedEvent,
    ModelRequestStartedEvent,
    OutputModelResponseCompletedEvent,
    OutputModelResponseStartedEvent,
    ParserModelResponseCompletedEvent,
    ParserModelResponseStartedEvent,
    PostHookCompletedEvent,
    PostHookStartedEvent,
    PreHookCompletedEvent,
    PreHookStartedEvent,
    ReasoningCompletedEvent,
    ReasoningContentDeltaEvent,
    ReasoningStartedEvent,
    ReasoningStepEvent,
    RunCancelledEvent,
    RunCompletedEvent,
    RunContentCompletedEvent,
    RunContentEvent,
    RunContentVoidedEvent,
    RunContinuedEvent,
    RunErrorEvent,
    RunEvent,
    RunInput,
    RunIntermediateContentEvent,
    RunOutput,
    RunOutputEvent,
    RunPausedEvent,
    RunResumedEvent,
    RunStartedEvent,
    SessionSummaryCompletedEvent,
    SessionSummaryStartedEvent,
    ToolCallCompletedEvent,
    ToolCallErrorEvent,
    ToolCallStartedEvent,
)
from kern.run.message import Message
from kern.session.agent import AgentSession

__all__ = [
    "Agent",
    "AgentSession",
    "CompactionCompletedEvent",
    "CompactionStartedEvent",
    "CompressionCompletedEvent",
    "CompressionStartedEvent",
    "CustomEvent",
    "FallbackConfig",
    "FollowupConfig",
    "FollowupsCompletedEvent",
    "FollowupsStartedEvent",
    "Handoff",
    "MemoryUpdateCompletedEvent",
    "MemoryUpdateStartedEvent",
    "Message",
    "ModelRequestCompletedEvent",
    "ModelRequestStartedEvent",
    "OutputModelResponseCompletedEvent",
    "OutputModelResponseStartedEvent",
    "ParserModelResponseCompletedEvent",
    "ParserModelResponseStartedEvent",
    "PostHookCompletedEvent",
    "PostHookStartedEvent",
    "PreHookCompletedEvent",
    "PreHookStartedEvent",
    "ReasoningCompletedEvent",
    "ReasoningContentDeltaEvent",
    "ReasoningStartedEvent",
    "ReasoningStepEvent",
    "RunCancelledEvent",
    "RunCompletedEvent",
    "RunContentCompletedEvent",
    "RunContentEvent",
    "RunContentVoidedEvent",
    "RunContinuedEvent",
    "RunErrorEvent",
    "RunEvent",
    "RunInput",
    "RunIntermediateContentEvent",
    "RunOutput",
    "RunOutputEvent",
    "RunPausedEvent",
    "RunResumedEvent",
    "RunStartedEvent",
    "SessionSummaryCompletedEvent",
    "SessionSummaryStartedEvent",
    "ToolCallCompletedEvent",
    "ToolCallErrorEvent",
    "ToolCallStartedEvent",
]


def __getattr__(name: str) -> object:
    if name == "BackgroundAgents":
        from kern.agent.background_tools import BackgroundAgents

        return BackgroundAgents
    if name not in ("Function", "Toolkit"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from kern import tools

    return getattr(tools, name)
