"""What an agent is."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Generic, Self, TypeAlias, cast, overload

from typing_extensions import TypeForm, Unpack

from kern.agent.answers import AnswerAttributes, AnswerOptions
from kern.agent.checks import (
    check_db,
    check_flag,
    check_history,
    check_list,
    check_text,
    check_tool_choice,
    check_tools,
)
from kern.agent.keywords import AgentOptions
from kern.agent.options import check_limits, check_policy
from kern.agent.slug import slug
from kern.agent.typed import typed
from kern.db.database import Database
from kern.dispatch.opening import open_runtime
from kern.dispatch.runtime import Runtime
from kern.dispatch.submission import SessionPolicy
from kern.errors import ConfigurationError
from kern.execution.answering import FollowupConfig
from kern.execution.middleware import Middleware
from kern.execution.spec import HistoryAgents
from kern.models.base import Model, ToolChoice
from kern.models.fallback import FallbackConfig
from kern.models.fallback import fallback_config as as_config
from kern.models.form import Form
from kern.models.utils import get_model
from kern.run.agent import Output, RunOutput
from kern.run.base import Deps
from kern.run.codec import check_id
from kern.run.numbers import check_count, check_seconds
from kern.run.usage import UsageLimits
from kern.tools import Tool, Toolset


class AgentDefinition(AnswerAttributes, Generic[Deps, Output]):
    """A model with a task, tools, and a place to keep its runs.

    Attributes:
        id: the agent's identity across processes; every process that uses an agent of this id on
            the same database shares its background runs.
        name: what people call it.
        model: who answers.
        fallback_config: who answers where it has failed, or None for nobody.
        tools: what the model can have called, by name.
        toolsets: tools that are known only once a run executes.
        tool_choice: whether the model is to call tools, or None where the provider decides.
        tool_call_limit: how many calls a run may make, or None for any number.
        max_turns: how often a run may ask the model, or None for any number.
        usage_limits: how much a run may use, or None for any amount.
        middleware: what is done around its runs, model calls and tool calls.
        live: whether answers come piece by piece though nobody reads them yet.
        send_media_to_model: whether the model is shown media; tools see it anyway.
        store_media: whether media is kept with a run that has ended.
        dependencies: what the tools find in their context.
        db: where its sessions and runs are kept; None for nowhere.
        timeout: the time limit of a run in seconds, or None.
        max_attempts: how many attempts at a background run may fail, or None for the default.
        session_policy: what becomes of a background run where its session has another.
        is_named: whether every process knows it by a name or id.
        max_concurrent_runs: how many background runs execute at once, in all processes.
        max_concurrent_runs_per_user: the same, of one user.
        max_queued_runs: how many background runs may wait to be executed.
        answer_options: what is said of its answers, by keyword; each is an attribute too.
        answering: what they say together; None where an answer is any text.
    """

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
        self,
        name: str | None = None,
        model: Model | str | None = None,
        *,
        id: str | None = None,
        description: str | None = None,
        instructions: str | Sequence[str] | None = None,
        tools: Sequence[Tool | Toolset | Callable[..., object]] = (),
        tool_choice: ToolChoice | None = None,
        tool_call_limit: int | None = None,
        max_turns: int | None = 100,
        usage_limits: UsageLimits | None = None,
        middleware: Sequence[Middleware] = (),
        live: bool = False,
        send_media_to_model: bool = True,
        store_media: bool = True,
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
        fallback_models: Sequence[Model | str] | None = None,
        fallback_config: FallbackConfig | None = None,
        input_schema: object = None,
        output_schema: object = None,
        output_retries: int = 1,
        structured_outputs: bool | None = None,
        use_json_mode: bool = False,
        parse_response: bool = True,
        parser_model: Model | str | None = None,
        parser_model_prompt: str | None = None,
        output_model: Model | str | None = None,
        output_model_prompt: str | None = None,
        followups: bool | FollowupConfig = False,
        num_followups: int = 3,
        followup_model: Model | str | None = None,
    ) -> None:
        """Define the agent; nothing is opened or started.

        Args:
            name: what people call it.
            model: who answers: a model, or a text such as ``"openai:gpt-5.4"``; by default
                ``OpenAIResponses()``.
            id: its identity, compared character by character; by default the name in lower case
                (and Unicode's form NFC) with dashes between its words.
            description: who the model is to be.
            instructions: what it is to do: a text, or a list of points.
            tools: what the model can have called: functions, what ``@tool`` made of them, other
                tools, and toolsets.
            tool_choice: whether the model is to call tools: ``"auto"``, ``"none"``, ``"required"``,
                the name of a tool, or a dict in the provider's form; by default the provider
                decides. What makes the model call a tool holds for its first answer in a run; after
                that it is free, or it could never end.
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
            send_media_to_model: False to show the run's media to tools only, as parameters of types
                such as ``list[Image]``.
            store_media: False to delete the media of a run that has completed or was cancelled;
                one that failed may be retried, and keeps it.
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
            fallback_models: who is asked in turn, each model or text, where the model has failed
                after its repetitions; the next call of the run asks the model first again.
            fallback_config: the same by the kind of error.
            input_schema: what the runs are given, in the same forms as what they answer: an
                instance, or a dict, is looked at and told to the model as JSON.
            output_schema: what the runs answer: a pydantic model, dataclass, TypedDict, enum,
                union, list or other type, of which ``content`` is an instance then; or a JSON
                Schema as a dict, for JSON values.
            output_retries: how often a model whose answer does not fit is told so and asked
                again; then the run ends in ERROR.
            structured_outputs: True for the provider's own way to hold the model to the schema,
                False for none; by default where the provider has one.
            use_json_mode: tell the schema in words, and have the provider see to JSON alone.
            parse_response: False to leave the JSON text as it is, and unchecked.
            parser_model: a second model, or ``"provider:id"``, that puts the text of the first
                one into the schema.
            parser_model_prompt: its system message.
            output_model: a second model that writes the final answer.
            output_model_prompt: its system message.
            followups: True for suggestions of what to ask next, in ``followups`` of the run, or
                how to make them.
            num_followups: how many.
            followup_model: who suggests them; by default the model.

        Raises:
            ConfigurationError: an argument cannot be used.
            InvalidInputError: a limit is no number above 0, or there is no such policy.
        """
        num_history_runs = check_history(add_history_to_context, num_history_runs, history_agents)
        if tool_call_limit is not None:
            check_count("tool_call_limit", tool_call_limit, ConfigurationError, least=0)
        check_text("name", name)
        check_text("description", description)
        check_text("instructions", instructions, several=True)
        self.tools, self.toolsets = check_tools(tools)
        names = None if self.toolsets else self.tools
        self.tool_choice = check_tool_choice(tool_choice, names)
        self.tool_call_limit = tool_call_limit
        self.max_turns = _limit("max_turns", max_turns)
        self.usage_limits = None if usage_limits is None else check_limits(usage_limits)
        self.middleware = tuple(
            check_list("middleware", middleware, Middleware, "middleware=[Timed()]")
        )
        self.live = check_flag("live", live)
        self.send_media_to_model = check_flag("send_media_to_model", send_media_to_model)
        self.store_media = check_flag("store_media", store_media)
        if dependencies is not None and not isinstance(dependencies, Mapping):
            raise ConfigurationError(f"dependencies must be a dict, not {dependencies!r:.80}.")
        self.dependencies: Mapping[str, object] = dict(dependencies or {})
        self.name = name or "Agent"
        self.model = get_model(model)
        self.fallback_config = as_config(fallback_models, fallback_config)
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
        Form.of(input_schema, "input_schema")  # One that cannot be used is refused here.
        self.input_schema = input_schema
        self.answer_options = AnswerOptions(
            output_schema,
            output_retries,
            structured_outputs,
            use_json_mode,
            parse_response,
            parser_model,
            parser_model_prompt,
            output_model,
            output_model_prompt,
            followups,
            num_followups,
            followup_model,
        )
        self.answering = self.answer_options.answering()
        self.is_named = bool(id or (name and name.strip()))
        self.id = check_id("The agent's id", id or slug(self.name))

    def __repr__(self) -> str:
        return f"Agent({self.name!r}, {self.model!r})"

    @property
    def system_message(self) -> str | None:
        """What the model is told before the conversation, from description and instructions."""
        points = self.instructions or ""
        if not isinstance(points, str):
            points = "\n".join(f"- {point}" for point in points)
        if not (points and self.description):
            return points or self.description or None
        return f"{self.description}\n\n{points}"

    @property
    def models(self) -> tuple[Model, ...]:
        """The models that may answer, the agent's own first."""
        fallback = self.fallback_config
        return (self.model, *(() if fallback is None else fallback.models))

    @property
    def fallback_models(self) -> Sequence[Model | str]:
        """Who is asked for any error of the model."""
        return () if self.fallback_config is None else self.fallback_config.on_error

    @fallback_models.setter
    def fallback_models(self, models: Sequence[Model | str] | None) -> None:
        self.fallback_config = as_config(models, None)

    @contextmanager
    def override(self, *, model: Model) -> Iterator[Self]:
        """Have another model answer the runs that begin in a ``with`` statement, for tests.

        Fallbacks are not asked then; parser, output and follow-up models are, as ever.

        It holds for every thread and event loop of this process, and for a run to its end. Runs
        that a worker of another process executes are answered by that process's agent.

        Args:
            model: who answers, such as a :class:`~kern.testing.ScriptedModel`.
        """
        own, self.model = self.model, model
        fallback, self.fallback_config = self.fallback_config, None
        try:
            yield self
        finally:
            self.model, self.fallback_config = own, fallback

    def _typed(self, output: RunOutput) -> RunOutput[Output]:
        """Return a run with its content as an instance of its type."""
        if output.content_type != "str":
            output = typed(output, self.answering)
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
