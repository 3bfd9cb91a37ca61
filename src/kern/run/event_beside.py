"""Events of what happens beside the agent's own model and its tools.

One that has no field of its own is no dataclass again: it inherits all that its base was given, and
what is written anew for each takes a good part of a millisecond of kern's import.
"""

from dataclasses import dataclass, field
from typing import Any

from kern.run.event_base import RunOutputEvent


@dataclass(slots=True)
class PreHookStartedEvent(RunOutputEvent):
    """A hook was called before the run.

    Attributes:
        pre_hook_name: which one.
        run_input: what the run was given.

    Example:
        >>> from kern.agent import Agent
        >>> from kern.testing import ScriptedModel
        >>> def look(run_input):
        ...     '''See what the run is given.'''
        >>> agent = Agent("Poet", ScriptedModel(["Roses."]), pre_hooks=[look])
        >>> for event in agent.run("A word, please.", stream=True, stream_events=True):
        ...     if isinstance(event, PreHookStartedEvent):
        ...         print(event.event.value, event.pre_hook_name)
        PreHookStarted look
        PreHookCompleted look
    """

    pre_hook_name: str | None = field(default=None, kw_only=True)
    run_input: Any = field(default=None, kw_only=True)


class PreHookCompletedEvent(PreHookStartedEvent):
    """A hook before the run has returned.

    Example:
        >>> from kern.run.event_base import RunEvent
        >>> kind = RunEvent.pre_hook_completed
        >>> event = PreHookCompletedEvent(kind, "run", "session", "agent", pre_hook_name="check")
        >>> event.pre_hook_name
        'check'
    """

    __slots__ = ()


@dataclass(slots=True)
class PostHookStartedEvent(RunOutputEvent):
    """A hook was called after the answer.

    Attributes:
        post_hook_name: which one.

    Example:
        >>> from kern.run.event_base import RunEvent
        >>> kind = RunEvent.post_hook_started
        >>> event = PostHookStartedEvent(kind, "run", "session", "agent", post_hook_name="check")
        >>> event.post_hook_name
        'check'
    """

    post_hook_name: str | None = field(default=None, kw_only=True)


class PostHookCompletedEvent(PostHookStartedEvent):
    """A hook after the answer has returned.

    Example:
        >>> from kern.run.event_base import RunEvent
        >>> kind = RunEvent.post_hook_completed
        >>> event = PostHookCompletedEvent(kind, "run", "session", "agent", post_hook_name="check")
        >>> event.post_hook_name
        'check'
    """

    __slots__ = ()


@dataclass(slots=True)
class ReasoningStartedEvent(RunOutputEvent):
    """A model thinks before the agent's own answers.

    Attributes:
        reasoning_content: what it has thought so far.

    Example:
        >>> from kern.run.event_base import RunEvent
        >>> ReasoningStartedEvent(RunEvent.reasoning_started, "run", "session", "agent").event.value
        'ReasoningStarted'
    """

    content: Any = field(default=None, kw_only=True)
    reasoning_content: str | None = field(default=None, kw_only=True)


class ReasoningStepEvent(ReasoningStartedEvent):
    """It has come to a step.

    Example:
        >>> from kern.run.event_base import RunEvent
        >>> kind = RunEvent.reasoning_step
        >>> event = ReasoningStepEvent(kind, "run", "session", "agent", reasoning_content="Add.")
        >>> event.reasoning_content
        'Add.'
    """

    __slots__ = ()


class ReasoningContentDeltaEvent(ReasoningStartedEvent):
    """A piece of what it thinks.

    Example:
        >>> from kern.run.event_base import RunEvent
        >>> kind = RunEvent.reasoning_content_delta
        >>> ReasoningContentDeltaEvent(kind, "run", "session", "agent", 7).seq
        7
    """

    __slots__ = ()


class ReasoningCompletedEvent(ReasoningStartedEvent):
    """It has come to its end.

    Example:
        >>> from kern.run.event_base import RunEvent
        >>> kind = RunEvent.reasoning_completed
        >>> event = ReasoningCompletedEvent(kind, "run", "session", "agent", reasoning_content="5.")
        >>> event.reasoning_content
        '5.'
    """

    __slots__ = ()


class ParserModelResponseStartedEvent(RunOutputEvent):
    """The parser model was asked.

    Example:
        >>> from kern.run.event_base import RunEvent
        >>> kind = RunEvent.parser_model_response_started
        >>> ParserModelResponseStartedEvent(kind, "run", "session", "agent", 7).seq
        7
    """

    __slots__ = ()


class ParserModelResponseCompletedEvent(RunOutputEvent):
    """The parser model has put the answer into its form.

    Example:
        >>> from kern.run.event_base import RunEvent
        >>> kind = RunEvent.parser_model_response_completed
        >>> event = ParserModelResponseCompletedEvent(kind, "run", "session", "agent", content="{}")
        >>> event.content
        '{}'
    """

    __slots__ = ()


class OutputModelResponseStartedEvent(RunOutputEvent):
    """The output model was asked.

    Example:
        >>> from kern.run.event_base import RunEvent
        >>> kind = RunEvent.output_model_response_started
        >>> OutputModelResponseStartedEvent(kind, "run", "session", "agent", 7).seq
        7
    """

    __slots__ = ()


class OutputModelResponseCompletedEvent(RunOutputEvent):
    """The output model has written the final answer.

    Example:
        >>> from kern.run.event_base import RunEvent
        >>> kind = RunEvent.output_model_response_completed
        >>> OutputModelResponseCompletedEvent(kind, "run", "session", "agent", 7).seq
        7
    """

    __slots__ = ()


class FollowupsStartedEvent(RunOutputEvent):
    """A model was asked what the user may want to ask next.

    Example:
        >>> from kern.run.event_base import RunEvent
        >>> kind = RunEvent.followups_started
        >>> FollowupsStartedEvent(kind, "run", "session", "agent", 7).seq
        7
    """

    __slots__ = ()


@dataclass(slots=True)
class FollowupsCompletedEvent(RunOutputEvent):
    """There are suggestions of what to ask next.

    Attributes:
        followups: the suggestions.

    Example:
        >>> from kern.run.event_base import RunEvent
        >>> kind = RunEvent.followups_completed
        >>> asked = ("And Japan?",)
        >>> FollowupsCompletedEvent(kind, "run", "session", "agent", followups=asked).followups
        ('And Japan?',)
    """

    followups: tuple[str, ...] = field(default=(), kw_only=True)


class MemoryUpdateStartedEvent(RunOutputEvent):
    """Memories of the user are drawn from the run.

    Example:
        >>> from kern.run.event_base import RunEvent
        >>> kind = RunEvent.memory_update_started
        >>> MemoryUpdateStartedEvent(kind, "run", "session", "agent", 7).seq
        7
    """

    __slots__ = ()


@dataclass(slots=True)
class MemoryUpdateCompletedEvent(RunOutputEvent):
    """Memories of the user were drawn from the run.

    Attributes:
        memories: the memories.

    Example:
        >>> from kern.run.event_base import RunEvent
        >>> kind = RunEvent.memory_update_completed
        >>> kept = ["Likes tea."]
        >>> MemoryUpdateCompletedEvent(kind, "run", "session", "agent", memories=kept).memories
        ['Likes tea.']
    """

    memories: Any = field(default=None, kw_only=True)


class SessionSummaryStartedEvent(RunOutputEvent):
    """A model was asked to sum up the session.

    Example:
        >>> from kern.run.event_base import RunEvent
        >>> kind = RunEvent.session_summary_started
        >>> SessionSummaryStartedEvent(kind, "run", "session", "agent", 7).seq
        7
    """

    __slots__ = ()


@dataclass(slots=True)
class SessionSummaryCompletedEvent(RunOutputEvent):
    """The session was summed up.

    Attributes:
        session_summary: the summary.

    Example:
        >>> from kern.run.event_base import RunEvent
        >>> kind = RunEvent.session_summary_completed
        >>> SessionSummaryCompletedEvent(kind, "run", "session", "agent").session_summary is None
        True
    """

    session_summary: Any = field(default=None, kw_only=True)


class CompressionStartedEvent(RunOutputEvent):
    """Long results of tools are shortened.

    Example:
        >>> from kern.run.event_base import RunEvent
        >>> kind = RunEvent.compression_started
        >>> CompressionStartedEvent(kind, "run", "session", "agent", 7).seq
        7
    """

    __slots__ = ()


@dataclass(slots=True)
class CompressionCompletedEvent(RunOutputEvent):
    """Long results of tools were shortened.

    Attributes:
        tool_results_compressed: how many.
        original_size: how long they were, in characters.
        compressed_size: how long they are now.

    Example:
        >>> from kern.run.event_base import RunEvent
        >>> kind = RunEvent.compression_completed
        >>> sizes = {"original_size": 9_000, "compressed_size": 800}
        >>> event = CompressionCompletedEvent(kind, "run", "session", "agent", **sizes)
        >>> event.original_size - event.compressed_size
        8200
    """

    tool_results_compressed: int | None = field(default=None, kw_only=True)
    original_size: int | None = field(default=None, kw_only=True)
    compressed_size: int | None = field(default=None, kw_only=True)


class CompactionStartedEvent(RunOutputEvent):
    """Old messages are summed up.

    Example:
        >>> from kern.run.event_base import RunEvent
        >>> kind = RunEvent.compaction_started
        >>> CompactionStartedEvent(kind, "run", "session", "agent", 7).seq
        7
    """

    __slots__ = ()


@dataclass(slots=True)
class CompactionCompletedEvent(RunOutputEvent):
    """Old messages were summed up.

    Attributes:
        messages_compacted: how many.
        tokens_before: how many tokens they had.
        tokens_after: how many tokens what stands in their place has.
        archived: where the messages are kept.

    Example:
        >>> from kern.run.event_base import RunEvent
        >>> kind = RunEvent.compaction_completed
        >>> event = CompactionCompletedEvent(kind, "run", "session", "agent", messages_compacted=40)
        >>> event.messages_compacted
        40
    """

    messages_compacted: int | None = field(default=None, kw_only=True)
    tokens_before: int | None = field(default=None, kw_only=True)
    tokens_after: int | None = field(default=None, kw_only=True)
    archived: Any = field(default=None, kw_only=True)
