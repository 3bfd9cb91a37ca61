"""What an agent is."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, TypeAlias, cast, get_args
from unicodedata import category, normalize

from kern.agent.checks import check_db, check_flag, check_list, check_needed, check_text
from kern.agent.options import check_limits, check_policy
from kern.db.database import Database
from kern.dispatch.opening import open_runtime
from kern.dispatch.runtime import Runtime
from kern.dispatch.submission import SessionPolicy
from kern.errors import ConfigurationError
from kern.execution.middleware import Middleware
from kern.execution.spec import HistoryAgents
from kern.models.base import Model
from kern.run.agent import Output, RunOutput
from kern.run.base import Deps
from kern.run.codec import check_id
from kern.run.numbers import check_count, check_seconds
from kern.run.usage import UsageLimits
from kern.tools import FunctionTool, Tool, Toolset


class AgentDefinition(Generic[Deps, Output]):
    """A model with a task, tools, and a place to keep its runs.

    Attributes:
        id: the agent's identity across processes; every process that uses an agent of this id on
            the same database shares its background runs.
        name: what people call it.
        model: who answers.
        tools: what the model can have called, by name.
        toolsets: tools that are known only once a run executes.
        tool_call_limit: how many calls a run may make, or None for any number.
        max_turns: how often a run may ask the model, or None for any number.
        usage_limits: how much a run may use, or None for any amount.
        middleware: what is done around its runs, model calls and tool calls.
        live: whether answers come piece by piece though nobody reads them yet.
        dependencies: what the tools find in their context.
        db: where its sessions and runs are kept; None for nowhere.
        timeout: the time limit of a run in seconds, or None.
        max_attempts: how many attempts at a background run may fail, or None for the default.
        session_policy: what becomes of a background run where its session has another.
        is_named: whether every process knows it by a name or id.
        max_concurrent_runs: how many background runs execute at once, in all processes.
        max_concurrent_runs_per_user: the same, of one user.
        max_queued_runs: how many background runs may wait to be executed.
    """

    def __init__(
        self,
        name: str | None = None,
        model: Model | None = None,
        *,
        id: str | None = None,
        description: str | None = None,
        instructions: str | Sequence[str] | None = None,
        tools: Sequence[Tool | Toolset | Callable[..., object]] = (),
        tool_call_limit: int | None = None,
        max_turns: int | None = 100,
        usage_limits: UsageLimits | None = None,
        middleware: Sequence[Middleware] = (),
        live: bool = False,
        dependencies: Deps | None = None,
        db: Database | None = None,
        add_history_to_context: bool = False,
        num_history_runs: int | None = None,
        history_agents: HistoryAgents = "own",
        timeout: float | None = None,
        max_attempts: int | None = None,
        session_policy: SessionPolicy = "queue",
        max_concurrent_runs: int | None = None,
        max_concurrent_runs_per_user: int | None = None,
        max_queued_runs: int | None = None,
    ) -> None:
        """Define the agent; nothing is opened or started.

        Args:
            name: what people call it.
            model: who answers; required.
            id: its identity, compared character by character; by default the name in lower case
                (and Unicode's form NFC) with dashes between its words.
            description: who the model is to be.
            instructions: what it is to do: a text, or a list of points.
            tools: what the model can have called: functions, what ``@tool`` made of them, other
                tools, and toolsets.
            tool_call_limit: how many tool calls a run may make; by default any number. A model
                that asks for more is told so once, and may answer; if it goes on, the run ends in
                ERROR.
            max_turns: how often a run may ask the model, over all its attempts; then it ends in
                ERROR. None for any number.
            usage_limits: how much a run may use, over all its attempts and with the runs that
                its tools start; then it ends in ERROR.
            middleware: what is done around its runs, model calls and tool calls, the first
                outermost.
            live: have the provider send each answer piece by piece though nobody reads the run
                yet, so that a reader who comes in the middle of one has its text so far at once.
                Without it such a reader waits for that answer, and sees the next one as it comes.
                It takes more processor time, the more the longer the answers are.
            dependencies: what the tools find in their context; it is stored nowhere.
            db: where sessions and runs are kept; background runs need one.
            add_history_to_context: whether the model is shown earlier runs of the session; it
                needs a db, as max_attempts and what follows it do.
            num_history_runs: how many of them, the last completed ones; by default 3.
            history_agents: whose: ``"own"``, this agent's, or those of ``"all"`` agents. A run
                with a user is never shown another user's.
            timeout: see :meth:`arun`, as for the next two.
            max_attempts: by default an attempt whose model fails is the last.
            session_policy: by default the background runs of a session execute one at a time.
            max_concurrent_runs: how many background runs execute at once, in all processes that
                say the same; by default any number.
            max_concurrent_runs_per_user: how many runs with the same user_id; by default any
                number. Those who wait for their user keep no others from starting.
            max_queued_runs: how many background runs may be due and not have begun; one more is
                refused with QueueFullError.

        Raises:
            ConfigurationError: an argument cannot be used.
            InvalidInputError: a limit is no number above 0, or there is no such policy.
        """
        if not isinstance(model, Model):
            raise ConfigurationError(
                "An agent needs a model, such as Agent(model=OpenAIResponses(id='gpt-5-mini'))."
            )
        if history_agents not in get_args(HistoryAgents):
            raise ConfigurationError(f"history_agents must be 'own' or 'all': {history_agents!r}.")
        if tool_call_limit is not None:
            check_count("tool_call_limit", tool_call_limit, ConfigurationError, least=0)
        if not check_flag("add_history_to_context", add_history_to_context):
            check_needed(
                "add_history_to_context",
                "Say add_history_to_context=True, or leave them out.",
                num_history_runs=num_history_runs is not None,
                history_agents=history_agents != "own",
            )
        num_history_runs = 3 if num_history_runs is None else num_history_runs
        check_count("num_history_runs", num_history_runs, ConfigurationError, least=0)
        check_text("name", name)
        check_text("description", description)
        check_text("instructions", instructions, several=True)
        tools = check_list("tools", tools, object, "tools=[search]")
        self.toolsets = tuple(each for each in tools if isinstance(each, Toolset))
        for each in self.toolsets:
            if each.timeout is not None:
                check_seconds(f"{type(each).__name__}.timeout", each.timeout, ConfigurationError)
        made = [
            each if isinstance(each, Tool) else FunctionTool(each)
            for each in tools
            if not isinstance(each, Toolset)
        ]
        for tool in made:
            if isinstance(tool, FunctionTool) and tool.lacks_instance:
                raise ConfigurationError(
                    f"The tool {tool.name} is a method of a class, and a model cannot give its "
                    f"self. Give that of an object, as in tools=[shop.{tool.name}]."
                )
        self.tools: dict[str, Tool] = {each.name: each for each in made}
        if len(self.tools) < len(made):
            raise ConfigurationError("Two tools have one name; give one of them another.")
        self.tool_call_limit = tool_call_limit
        self.max_turns = _limit("max_turns", max_turns)
        self.usage_limits = None if usage_limits is None else check_limits(usage_limits)
        self.middleware = tuple(
            check_list("middleware", middleware, Middleware, "middleware=[Timed()]")
        )
        self.live = check_flag("live", live)
        if not isinstance(dependencies, Mapping | None):
            raise ConfigurationError(f"dependencies must be a dict, not {dependencies!r:.80}.")
        self.dependencies: Mapping[str, object] = dict(dependencies or {})
        self.name = name or "Agent"
        self.model = model
        self.description = description
        self.instructions = instructions
        self.add_history_to_context = add_history_to_context
        self.num_history_runs = num_history_runs
        self.history_agents = history_agents
        self.timeout = None if timeout is None else check_seconds("timeout", timeout)
        self.session_policy = check_policy(session_policy)
        self.max_attempts = _limit("max_attempts", max_attempts)
        self.max_concurrent_runs = _limit("max_concurrent_runs", max_concurrent_runs)
        self.max_concurrent_runs_per_user = _limit(
            "max_concurrent_runs_per_user", max_concurrent_runs_per_user
        )
        self.max_queued_runs = _limit("max_queued_runs", max_queued_runs)
        self.db = check_db(
            db,
            add_history_to_context=add_history_to_context,
            max_attempts=max_attempts is not None,
            session_policy=session_policy != "queue",
            max_concurrent_runs=max_concurrent_runs is not None,
            max_concurrent_runs_per_user=max_concurrent_runs_per_user is not None,
            max_queued_runs=max_queued_runs is not None,
        )
        self.is_named = bool(id or (name and name.strip()))
        self.id = check_id("The agent's id", id or _slug(self.name))

    def __repr__(self) -> str:
        return f"Agent({self.name!r}, {self.model!r})"

    @property
    def system_message(self) -> str | None:
        """What the model is told before the conversation, from description and instructions."""
        points = self.instructions or ""
        if not isinstance(points, str):
            points = "\n".join(f"- {point}" for point in points)
        return "\n\n".join(part for part in (self.description, points) if part) or None

    def _typed(self, output: RunOutput) -> RunOutput[Output]:
        """Return a run with the type of its content that the agent is declared with."""
        return cast("RunOutput[Output]", output)

    @property
    def history_runs(self) -> int:
        """How many earlier runs of the session the model is shown."""
        return self.num_history_runs if self.add_history_to_context else 0


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


def _limit(name: str, value: int | None) -> int | None:
    return None if value is None else check_count(name, value)


def _slug(name: str) -> str:
    """Return the id that a name makes: what separates its words becomes a dash.

    However the characters are composed, it is the same. Names that differ in a letter, a mark, a
    digit or a symbol make different ids; one that has none of these is its own id.
    """
    composed = normalize("NFC", normalize("NFC", name).lower())
    words = "".join(each if _is_of_word(each) else "-" for each in composed)
    return re.sub("-+", "-", words).strip("-") or name.strip() or "agent"


def _is_of_word(character: str) -> bool:
    if character.isascii():
        return character.isalnum() or character in "_+#"
    return category(character)[0] in "LMNS" or character in _JOINERS


# They tell words of Persian and Hindi apart, and make one picture of several.
_JOINERS = "\u200c\u200d"
