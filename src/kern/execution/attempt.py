"""One executor's try at a run: what it starts from, and what it has come to."""

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from weakref import WeakMethod

from kern.aio.retry import until_available
from kern.db.base import Store
from kern.errors import ModelError
from kern.execution.answering import Answering
from kern.execution.blobs import blobs_in, with_data
from kern.execution.child import SHARES_STATE, Children, members_among
from kern.execution.compacted import Conversation
from kern.execution.journal import Journal
from kern.execution.nesting import OpenCalls
from kern.execution.pieces import ToolPieces
from kern.execution.retriever import joined
from kern.execution.spec import Definition, Spec, debugging
from kern.execution.state import SessionState, load
from kern.models.base import Model
from kern.run.agent import RunOutput
from kern.run.base import RunContext, RunInfo
from kern.run.beside import compacted_in
from kern.run.beside_steps import ConversationCompacted
from kern.run.budget import Spending
from kern.run.fold import RunState
from kern.run.input import OVERRIDES, RunInput
from kern.run.lineage import Begun, begun_of
from kern.run.message import Message
from kern.run.requirement import RunRequirement
from kern.run.state import CURRENT
from kern.run.steps import StateChanged
from kern.run.turn import Turn
from kern.run.usage import UsageLimits
from kern.tools import Tool
from kern.tools.toolkit import Toolkit

logger = logging.getLogger("kern")


@dataclass(slots=True, eq=False, weakref_slot=True)
class Attempt:
    """One executor's try at a run.

    Attributes:
        spec: the agent, as it was when the run was submitted or served.
        input: what the run adds to the conversation, as JSON text.
        output: the run as its caller will see it.
        store: where the run is kept; None for nowhere.
        journal: where its steps are written down.
        number: which attempt it is, from 1 on; the database refuses all but the newest one.
        foreground: whether it belongs to a caller who waits, and ends when the caller goes.
        timeout: the run's time limit in seconds, or None.
        remaining: the seconds that are left of it.
        ends_at: when they are over, by the clock of the loop; None without a limit.
        zero: when the clock of this process began, by that of the database, in seconds since 1970.
        limits: how much the run may use, by its agent and by itself.
        spending: the budgets that hold for the run's user, as they were before its last model call;
            None where the user had none when the run was accepted or claimed.
        tries: how many more attempts may fail after this one; in the foreground this one goes on.
        failures: how many attempts have failed or were lost before it.
        postponed: the seconds after which the next attempt may begin, once this one has failed, or
            the run sleeps.
        wakes_at: when the first of the calls goes on that sleep, in seconds since 1970.
        waits: what calls of the last turn wait for that a person has to do.
        asks: the calls that need a person as functions of their tools say, by turn and place.
        tools: what the model can have called, by name.
        context: what the model is told before the run's own messages.
        messages: the run's own messages, those of the last turn left out while it is open.
        memo: what the model keeps between its calls.
        history: the earlier runs of the session that are part of the context.
        blobs: the blobs in all of these messages, by their hash, each with the run that has it.
        loaded: what the blobs stand for, as far as it is in memory.
        replayed: how many turns earlier attempts have journaled.
        interrupted: the calls of the last of them that were under way, by their place.
        failure: what the run failed of, once it has.
        is_settled: whether the run has ended with it, that is stored, and its journal is whole.
        last_seq: the number of the last row that earlier attempts have journaled, or 0.
        is_pinned: whether the spec is that of the run's submit, in this process.
        calls: counts its tool calls that are under way, where somebody wants to know.
        children: what carries out the runs that its tool calls are, where it has a store.
        refusal: why this process cannot execute the run, once that is known.
        fallback: who answered last, where it was not the agent's own model.
        unfit: the models that no later call needs to ask, each with the error that says why.
        answering: what the answer has to be, by its agent or by itself, and who is asked then.
        answer: the value that was read of the answer, once it fits, and the type of it.
        provided: tools that the model's provider has, in its own form.
        tool_instructions: what the model is told of tools in its system message.
        session_state: the state of its session, once somebody has asked for it.
        is_new_session: whether nothing can be stored of its session, which was made with the run.
        unstored: whether nothing of the run is to be kept.
        connected: toolkits that were opened for it, to be closed at its end.
        options: what the run was given beside its messages, by the name of the option.
        addressed: the message of the run to which something is added for the model, with its place.
        stored_history: the history as the run's output is to hold it.
        traceparent: the trace that it was submitted in, or None.
        summarized: the newest summary in the runs of the history that stands for a part of it.
        is_uncompacted: whether its conversation could not be summed up.
        asking: how many models are being asked beside its own.
    """

    spec: Spec
    input: str
    output: RunOutput
    store: Store | None
    journal: Journal
    number: int = 1
    foreground: bool = False
    timeout: float | None = None
    remaining: float | None = None
    ends_at: float | None = None
    zero: float = field(default_factory=lambda: time.time() - time.monotonic())
    limits: tuple[UsageLimits, ...] = ()
    spending: Sequence[Spending] | None = None
    tries: int = 0
    failures: int = 0
    postponed: float | None = None
    wakes_at: float | None = None
    waits: tuple[RunRequirement, ...] = ()
    asks: frozenset[tuple[int, int]] = frozenset()
    tools: Mapping[str, Tool] = field(default_factory=dict)
    context: list[Message] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)
    memo: dict[str, object] = field(default_factory=dict)
    history: tuple[str, ...] = ()
    blobs: dict[str, str] = field(default_factory=dict)
    loaded: dict[str, bytes] = field(default_factory=dict)
    replayed: int = 0
    interrupted: frozenset[int] = frozenset()
    failure: BaseException | None = None
    is_settled: bool = False
    last_seq: int = 0
    is_pinned: bool = False
    calls: OpenCalls | None = None
    children: Children | None = None
    refusal: str | None = None
    fallback: Model | None = None
    unfit: tuple[tuple[Model, ModelError], ...] = ()
    answering: Answering | None = None
    answer: tuple[object, str] | None = None
    options: Mapping[str, object] = field(default_factory=dict)
    provided: tuple[Mapping[str, object], ...] = ()
    tool_instructions: tuple[str, ...] = ()
    addressed: tuple[int, Message] | None = None
    stored_history: Sequence[Message] = ()
    traceparent: str | None = None
    summarized: ConversationCompacted | None = None
    is_uncompacted: bool = False
    asking: int = 0
    _told: int = 0
    session_state: SessionState | None = None
    is_new_session: bool = False
    unstored: bool = False
    connected: list[Toolkit] = field(default_factory=list)
    _run_context: RunContext | None = None
    _pieces: ToolPieces | None = None
    _loading: asyncio.Lock | None = None

    @property
    def info(self) -> RunInfo:
        """Which attempt at which run this is, as middleware is told."""
        output = self.output
        return RunInfo(
            output.run_id,
            output.session_id,
            output.agent_id,
            output.user_id,
            self.number,
            output.parent_run_id,
            self.spec.name,
            self.traceparent,
        )

    def now(self) -> float:
        """Return what time it is by the clock of the database: those of machines are apart."""
        return self.zero + time.monotonic()

    @property
    def state(self) -> RunState:
        """What the steps so far say."""
        return self.journal.state

    @property
    def handle(self) -> str | None:
        """The handle of the answer that its model's provider keeps, if there is one."""
        state = self.journal.state
        return None if state.kept is None else state.handle_for(self.spec.model.origin)

    @property
    def conversation(self) -> list[Message]:
        """Everything that the model is told, once each of its calls has a result."""
        if self.spec.compression is not None:
            return self.whole_conversation.told(self.compacted)
        self._add_turns()
        messages = [*self.context, *self.messages]
        if self.addressed is not None:
            place, message = self.addressed
            messages[len(self.context) + place] = message
        return messages

    @property
    def whole_conversation(self) -> Conversation:
        """The conversation before its oldest messages are summed up."""
        self._add_turns()
        own, turns = [*self.messages], self.state.turns
        if self.addressed is not None:
            place, message = self.addressed
            own[place] = message
        first = turns[0].message if turns else None
        return Conversation.of(self.context, own, first)

    def _add_turns(self) -> None:
        for turn in self.new_turns:
            self.add(self.messages, turn.messages, self.output.run_id)
            self._told += 1

    def tell_again(self) -> None:
        """Have the turns told anew: what their messages say has changed."""
        if self._told:
            self.messages[:] = self.given
            self._told = 0

    @property
    def compacted(self) -> ConversationCompacted | None:
        """The summary that stands for the oldest messages: the run's own, or an earlier one's."""
        return compacted_in(self.state.beside) or self.summarized

    @property
    def new_turns(self) -> Sequence[Turn]:
        """The turns whose messages are not among the run's own yet."""
        return self.journal.state.turns[self._told :]

    @property
    def run_context(self) -> RunContext:
        """The context of the run, which its functions share; it is made when one is called."""
        if self._run_context is None:
            output, rules = self.output, self.spec.context_rules
            searched = None if rules is None else rules.retriever
            own = self.options.get("knowledge_filters")
            self._run_context = RunContext(
                output.run_id,
                output.session_id,
                output.agent_id,
                output.user_id,
                output.metadata,
                self.number,
                dependencies=self.spec.dependencies,
                knowledge_filters=joined(None if searched is None else searched.filters, own),
                tools=[*self.tools.values()],
                knowledge=None if searched is None else searched.shown,
                members=self._members(),
                _agent=self.spec.agent,
                _told=WeakMethod(self._messages_so_far),  # Users may keep the context.
            )
        return self._run_context

    @property
    def pieces(self) -> ToolPieces:
        """What its tools yield."""
        if self._pieces is None:
            self._pieces = ToolPieces(self.journal)
        return self._pieces

    def stream(self) -> None:
        """Write pieces too from now on, those that there are at once: somebody reads the run."""
        self.journal.stream()
        if self._pieces is not None:
            self._pieces.flush()

    @property
    def uses_state(self) -> bool:
        """Whether the state of the session is a part of the run, also where no tool asks for it."""
        return (
            self.spec.state_rules is not None
            or "session_state" in self.options
            or self.journal.state.changes is not None
        )

    async def load_state(self) -> SessionState:
        """Return the state of the session; the first who asks has it loaded.

        Raises:
            InvalidInputError: the state that the run was given is not JSON.
        """
        if self.session_state is None:
            self._loading = self._loading or asyncio.Lock()
            async with self._loading:
                if self.session_state is None:
                    self.session_state = await self._load_state()
        return self.session_state

    async def _load_state(self) -> SessionState:
        output, changes = self.output, self.journal.state.changes
        ids = (output.user_id, output.session_id, output.run_id)
        is_alone = self.is_new_session or SHARES_STATE in self.options
        state = await load(
            None if is_alone else self.store,
            output.session_id,
            self.spec.state_rules,
            self.options.get("session_state"),
            changes,
            {key: value for key, value in zip(CURRENT, ids, strict=True) if value is not None},
        )
        if state.begun is not None:
            self.journal.keep(StateChanged(state.begun))
        self.run_context.session_state = state.value
        return state

    @property
    def begun(self) -> Begun | None:
        """Where it begins with messages of another run: what has to be known of that."""
        return begun_of(self.options) if self.options else None

    @property
    def given(self) -> list[Message]:
        """What it begins with, without what has come of that."""
        turns = self.state.turns
        first = turns[0].message if turns else None
        return [*takewhile(lambda each: each is not first, self.messages)]

    @property
    def asked(self) -> list[Message]:
        """What the run was given, without what an earlier run was given before it."""
        begun = self.begun
        return self.given if begun is None else self.given[begun["checked"] :]

    def _messages_so_far(self) -> list[Message]:
        later = (each for turn in self.new_turns for each in turn.messages)
        return [*self.context, *self.messages, *later]

    async def replay(self) -> None:
        """Read what earlier attempts have journaled, and see with what this one goes on.

        Raises:
            JournalError: a row is damaged, or was written by a newer kern.
            ValueError: the stored input is damaged.
        """
        await self.restore()
        turns = self.journal.state.turns
        self.replayed = len(turns)
        if turns and self.number > 1:
            last = turns[-1]
            open_places = {place for place, _ in last.open_calls}
            self.interrupted = frozenset(last.started - last.allowed) & open_places

    async def restore(self) -> None:
        """Read what earlier attempts have journaled, unless that has been read.

        Raises:
            JournalError: a row is damaged, or was written by a newer kern.
            ValueError: the stored input is damaged.
        """
        if self.messages:
            return
        store, run_id = self.store, self.output.run_id
        if store and self.last_seq:
            for row in await until_available(
                lambda: store.events(run_id, self.journal.state.last_seq)
            ):
                self.journal.restore(row)
        self._take_input()
        if OVERRIDES in self.options:
            from kern.execution.overriding import overridden

            self.spec = overridden(self.spec, self.options)

    def replace_input(self, input: str) -> None:
        """Have another input, as JSON text, take the place of the run's, before its first turn."""
        self.input = self.output.input_json = input
        self.messages.clear()
        self.blobs.clear()
        self._take_input()

    def _take_input(self) -> None:
        said = RunInput.from_json(self.input)
        self.options, given = said.options, said.messages
        if said.options:
            self.journal.leaves_state = SHARES_STATE in said.options
            if (wanted := said.options.get("debug_mode")) is not None:
                self.spec = debugging(self.spec, bool(wanted))
        if self.store is None and self.loaded:
            given = tuple(with_data(each, self.loaded) for each in given)
        self.add(self.messages, given, self.output.run_id)

    def _members(self) -> list[Definition] | None:
        """Return the members of the team that runs, or None."""
        return members_among(self.tools.values()) if self.spec.agent.is_team else None

    def show_tools(self) -> None:
        """Let the run's context say what the model can have called."""
        if self._run_context is not None:
            self._run_context.tools = [*self.tools.values()]
            self._run_context.members = self._members()

    def add(self, to: list[Message], messages: Sequence[Message], run_id: str) -> None:
        """Add messages of a run to others."""
        to += messages
        for hash in blobs_in(messages):
            self.blobs[hash] = run_id
