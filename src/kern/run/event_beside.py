"""Events of what happens beside the agent's own model and its tools."""

from dataclasses import dataclass, field
from typing import Any

from kern.run.event_base import RunOutputEvent


@dataclass(slots=True)
class PreHookStartedEvent(RunOutputEvent):
    """A hook was called before the run.

    Attributes:
        pre_hook_name: which one.
        run_input: what the run was given.
    """

    pre_hook_name: str | None = field(default=None, kw_only=True)
    run_input: Any = field(default=None, kw_only=True)


@dataclass(slots=True)
class PreHookCompletedEvent(PreHookStartedEvent):
    """A hook before the run has returned."""


@dataclass(slots=True)
class PostHookStartedEvent(RunOutputEvent):
    """A hook was called after the answer.

    Attributes:
        post_hook_name: which one.
    """

    post_hook_name: str | None = field(default=None, kw_only=True)


@dataclass(slots=True)
class PostHookCompletedEvent(PostHookStartedEvent):
    """A hook after the answer has returned."""


@dataclass(slots=True)
class ReasoningStartedEvent(RunOutputEvent):
    """A model thinks before the agent's own answers.

    Attributes:
        reasoning_content: what it has thought so far.
    """

    content: Any = field(default=None, kw_only=True)
    reasoning_content: str | None = field(default=None, kw_only=True)


@dataclass(slots=True)
class ReasoningStepEvent(ReasoningStartedEvent):
    """It has come to a step."""


@dataclass(slots=True)
class ReasoningContentDeltaEvent(ReasoningStartedEvent):
    """A piece of what it thinks."""


@dataclass(slots=True)
class ReasoningCompletedEvent(ReasoningStartedEvent):
    """It has come to its end."""


@dataclass(slots=True)
class ParserModelResponseStartedEvent(RunOutputEvent):
    """The parser model was asked."""


@dataclass(slots=True)
class ParserModelResponseCompletedEvent(RunOutputEvent):
    """The parser model has put the answer into its form."""


@dataclass(slots=True)
class OutputModelResponseStartedEvent(RunOutputEvent):
    """The output model was asked."""


@dataclass(slots=True)
class OutputModelResponseCompletedEvent(RunOutputEvent):
    """The output model has written the final answer."""


@dataclass(slots=True)
class FollowupsStartedEvent(RunOutputEvent):
    """A model was asked what the user may want to ask next."""


@dataclass(slots=True)
class FollowupsCompletedEvent(RunOutputEvent):
    """There are suggestions of what to ask next.

    Attributes:
        followups: the suggestions.
    """

    followups: tuple[str, ...] = field(default=(), kw_only=True)


@dataclass(slots=True)
class MemoryUpdateStartedEvent(RunOutputEvent):
    """Memories of the user are drawn from the run."""


@dataclass(slots=True)
class MemoryUpdateCompletedEvent(RunOutputEvent):
    """Memories of the user were drawn from the run.

    Attributes:
        memories: the memories.
    """

    memories: Any = field(default=None, kw_only=True)


@dataclass(slots=True)
class SessionSummaryStartedEvent(RunOutputEvent):
    """A model was asked to sum up the session."""


@dataclass(slots=True)
class SessionSummaryCompletedEvent(RunOutputEvent):
    """The session was summed up.

    Attributes:
        session_summary: the summary.
    """

    session_summary: Any = field(default=None, kw_only=True)


@dataclass(slots=True)
class CompressionStartedEvent(RunOutputEvent):
    """Long results of tools are shortened."""


@dataclass(slots=True)
class CompressionCompletedEvent(RunOutputEvent):
    """Long results of tools were shortened.

    Attributes:
        tool_results_compressed: how many.
        original_size: how long they were, in characters.
        compressed_size: how long they are now.
    """

    tool_results_compressed: int | None = field(default=None, kw_only=True)
    original_size: int | None = field(default=None, kw_only=True)
    compressed_size: int | None = field(default=None, kw_only=True)


@dataclass(slots=True)
class CompactionStartedEvent(RunOutputEvent):
    """Old messages are summed up."""


@dataclass(slots=True)
class CompactionCompletedEvent(RunOutputEvent):
    """Old messages were summed up.

    Attributes:
        messages_compacted: how many.
        tokens_before: how many tokens they had.
        tokens_after: how many tokens what stands in their place has.
        archived: where the messages are kept.
    """

    messages_compacted: int | None = field(default=None, kw_only=True)
    tokens_before: int | None = field(default=None, kw_only=True)
    tokens_after: int | None = field(default=None, kw_only=True)
    archived: Any = field(default=None, kw_only=True)
