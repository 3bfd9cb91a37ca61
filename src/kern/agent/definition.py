"""What an agent is."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from inspect import cleandoc
from typing import Any, ClassVar, Generic, Self, TypeAlias, cast, overload

from typing_extensions import TypeForm, Unpack

from kern.agent.checks import check_db
from kern.agent.keywords import KEYWORDS, AgentOptions
from kern.agent.lines import Remembered, current_line, remembered
from kern.agent.parts.accepted import AcceptedPart
from kern.agent.parts.answers import AnswersPart
from kern.agent.parts.compression import CompressionPart
from kern.agent.parts.context import ContextPart
from kern.agent.parts.execution import ExecutionPart
from kern.agent.parts.hooks import HooksPart
from kern.agent.parts.identity import IdentityPart
from kern.agent.parts.memory import MemoryPart
from kern.agent.parts.part import Part
from kern.agent.parts.reasoning import ReasoningPart
from kern.agent.parts.session import SessionPart
from kern.agent.parts.skills import SkillsPart
from kern.agent.parts.told import ToldParts
from kern.agent.parts.tools import ToolsPart
from kern.agent.typed import typed
from kern.db.components import ComponentType
from kern.dispatch.opening import open_runtime
from kern.dispatch.runtime import Runtime
from kern.errors import ConfigurationError, InvalidInputError
from kern.keywords import LATER, explanation, later, spelled
from kern.models.base import Model
from kern.models.utils import get_model
from kern.run.agent import Output, RunOutput
from kern.run.base import Deps
from kern.run.codec import check_id

PARTS: tuple[type[Part], ...] = (
    *(
        IdentityPart,
        ContextPart,
        SkillsPart,
        SessionPart,
        MemoryPart,
        ToolsPart,
        AnswersPart,
        ReasoningPart,
        CompressionPart,
        HooksPart,
        ExecutionPart,
        AcceptedPart,
    ),
)

PART_OF: dict[str, type[Part]] = {
    name: part for part in PARTS for name in part.__annotations__ if name in KEYWORDS
}
"""By each keyword the part that has it."""


class AgentDefinition(
    ToldParts,
    ToolsPart,
    AnswersPart,
    ReasoningPart,
    CompressionPart,
    HooksPart,
    ExecutionPart,
    AcceptedPart,
    Generic[Deps, Output],
):
    """A model with a task, tools, and a place to keep its runs.

    Attributes:
        is_named: whether every process knows it by a name or id.
        fixed_session_id: the conversation that it was given, of all its runs that name none.
        remembered: the conversations that it has begun, where it was made in ``__main__``.
        reads_files: whether its runs read the files that they name, so that only code begins them.
        is_team: whether it leads others, to which it hands its work on.
        component_type: what it is saved as.
    """

    remembered: Remembered | None = None
    reads_files = False
    is_team: bool = False
    component_type: ClassVar[ComponentType] = "agent"

    _all_parts: ClassVar[tuple[type[Part], ...]] = PARTS
    _always: ClassVar[tuple[type[Part], ...]] = (IdentityPart, ContextPart, ToolsPart)
    _part_of: ClassVar[Mapping[str, type[Part]]] = PART_OF

    @overload
    def __init__(
        self,
        name: str | None = None,
        model: Model | str | None = None,
        *,
        output_schema: Mapping[str, object] | None = None,
        dependencies: Deps | None = None,
        **options: Unpack[AgentOptions],
    ) -> None: ...

    @overload
    def __init__(
        self,
        name: str | None = None,
        model: Model | str | None = None,
        *,
        output_schema: TypeForm[Output],
        dependencies: Deps | None = None,
        **options: Unpack[AgentOptions],
    ) -> None: ...

    def __init__(
        self, name: str | None = None, model: Model | str | None = None, **options: object
    ) -> None:
        """Define the agent; nothing is opened or started.

        Each keyword is an attribute, too.

        Args:
            name: what people call it.
            model: who answers: a model, or a text such as ``"openai:gpt-5.4"``; by default
                ``OpenAIResponses()``.
            options: see the parts of an agent, in :mod:`kern.agent.parts`.

        Raises:
            ConfigurationError: a keyword cannot be used.
            InvalidInputError: a limit is no number above 0, or there is no such policy.
            TypeError: there is no such keyword.
        """
        self._define(name, model, options)

    def _define(
        self, name: str | None, model: Model | str | None, options: Mapping[str, object]
    ) -> None:
        """Be what the keywords say; see :meth:`__init__`."""
        given = self.__dict__
        given.update(options, name=name, model=model)
        for part in self._used(options):
            part._build(self)
        self._tell()
        given["remembered"] = remembered()
        given["is_named"] = bool(options.get("id") or (name and name.strip()))
        if self.starts_runs:
            from kern.agent.background import check_starts

            check_starts(self.name, self.db, is_named=self.is_named)
        check_db(
            self.db,
            **{
                name: given[name] not in (_NEEDING_DB[name], False)
                for name in given.keys() & _NEEDING_DB.keys()
            },
        )

    def __setattr__(self, name: str, value: object) -> None:
        part = self._part_of.get(name)
        if part is None:
            if name in LATER:
                raise AttributeError(later(name))
            return super().__setattr__(name, value)
        before = self.__dict__.copy()
        self.__dict__[name] = value
        try:
            part._build(self)
            if part in ToldParts.__bases__:
                self._tell()
        except BaseException:
            self.__dict__.clear()
            self.__dict__.update(before)
            raise

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, {self.model!r})"

    @property
    def session_id(self) -> str | None:
        """The conversation of its runs that name none; None where each begins a new one."""
        if self.fixed_session_id is not None or self.remembered is None:
            return self.fixed_session_id
        line = current_line()
        known = None if line is None else self.remembered.known(line)
        return None if known is None else known[0]

    @session_id.setter
    def session_id(self, value: str | None) -> None:
        self.__dict__["session_id"] = value

    def _meant(self, session_id: str | None) -> str:
        """Return the session that is meant, where none may be named.

        Raises:
            InvalidInputError: that is not said.
        """
        known = self.session_id if session_id is None else session_id
        if known is not None:
            return check_id("session_id", known)
        raise InvalidInputError(
            "Which session? Give session_id, as a run's session_id; or make the agent with "
            "Agent(session_id=...); or carry a conversation = agent.conversation(), whose "
            "session_id it is. Only an agent that is made in __main__ knows the conversation that "
            "it began there."
        )

    @property
    def models(self) -> tuple[Model, ...]:
        """The models that may answer, the agent's own first."""
        fallback = self.fallback
        return (self.model, *(() if fallback is None else fallback.models))

    @contextmanager
    def override(self, *, model: Model) -> Iterator[Self]:
        """Have another model answer the runs that begin in a ``with`` statement, for tests.

        Fallbacks are not asked then; parser, output and follow-up models are, as ever.

        It holds for every thread and event loop of this process, and for a run to its end. Runs
        that a worker of another process executes are answered by that process's agent.

        Args:
            model: who answers, such as a :class:`~kern.testing.ScriptedModel`.
        """
        own, fallback = self.model, self.fallback
        self.__dict__.update(model=get_model(model), fallback=None)
        try:
            yield self
        finally:
            self.__dict__.update(model=own, fallback=fallback)

    def deep_copy(self, *, update: Mapping[str, object] | None = None) -> Self:
        """Return another agent that is defined as this one is; it has the same model and database.

        Args:
            update: keywords that are other than this one's.

        Raises:
            ConfigurationError: a keyword cannot be used.
            TypeError: there is no such keyword.
        """
        given = self.defined()
        if not self.is_named:
            del given["id"], given["name"]
        copied: dict[str, Any] = {
            name: deepcopy(value) if isinstance(value, dict) and name in _STATEFUL else value
            for name, value in given.items()
        }
        return type(self)(**{**copied, **(update or {})})

    @classmethod
    def _used(cls, options: Mapping[str, object]) -> list[type[Part]]:
        """Return the parts that keywords belong to, and those that are never empty, in order.

        Raises:
            TypeError: there is no such keyword.
        """
        used, part_of = {*cls._always}, cls._part_of
        for name in options:
            if name not in part_of:
                raise TypeError(explanation(cls.__name__, name, cls.keywords()))
            used.add(part_of[name])
        return sorted(used, key=cls._all_parts.index)

    def defined(self) -> dict[str, object]:
        """Return the keywords that it was given, or was set to have since, as they are kept."""
        given = {name: value for name, value in self.__dict__.items() if name in self._part_of}
        given["tools"] = self.__dict__.get("_given")
        return given

    @classmethod
    def keywords(cls) -> Mapping[str, type[Part]]:
        """Return all keywords that there are, each with the part that has it."""
        return cls._part_of

    def _typed(self, output: RunOutput) -> RunOutput[Output]:
        """Return a run with its content as an instance of its type."""
        if output.content_type != "str":
            output = typed(output, self.answering)
        return cast("RunOutput[Output]", output)


AnyAgent: TypeAlias = AgentDefinition[Any, Any]
"""An agent with dependencies and answers of any type."""


async def runtime_of(agent: AnyAgent, what: str = "This") -> Runtime:
    """Return what the running event loop does with the agent's database.

    Args:
        agent: the agent.
        what: who needs it, for the error.

    Raises:
        ConfigurationError: the agent has no db.
        DatabaseError: the database cannot be opened.
    """
    if agent.db is None:
        raise ConfigurationError(
            f"{what} needs a database: Agent(..., db=PostgresDb(db_url=...)), or SqliteDb or "
            "InMemoryDb."
        )
    return await open_runtime(agent.db)


spelled(
    AgentDefinition.__init__,
    AgentOptions.__annotations__ | {"output_schema": object, "dependencies": Mapping},
    lambda name: getattr(PART_OF[name], name, None),
)

AgentDefinition.__init__.__doc__ = "\n\n".join(
    [
        cleandoc(AgentDefinition.__init__.__doc__ or ""),
        *(cleandoc(part.__doc__ or "").replace("Attributes:", "Keywords:") for part in PARTS),
    ]
)

_STATEFUL = ("metadata", "session_state")

_NEEDING_DB = {
    name: getattr(PART_OF[name], name)
    for name in (
        *("add_history_to_context", "max_attempts", "session_policy", "max_queued_runs"),
        *("max_concurrent_runs", "max_concurrent_runs_per_user", "enable_session_summaries"),
        *("search_past_sessions", "read_chat_history", "read_tool_call_history"),
        *("memory_manager", "update_memory_on_run", "enable_user_memories"),
        *("enable_agentic_memory", "add_memories_to_context"),
    )
}
