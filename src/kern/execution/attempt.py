"""One executor's try at a run: what it starts from, and what it has come to."""

from dataclasses import dataclass, field
from typing import Self, cast

from kern.aio.retry import until_available
from kern.db.base import Store
from kern.execution.journal import Emit, Journal
from kern.execution.nesting import OpenCalls
from kern.execution.spec import Spec
from kern.run.agent import RunEvent, RunInput, RunOutput, messages_of
from kern.run.codec import decode_object
from kern.run.journal import read_row, reading
from kern.run.message import Message, Metrics
from kern.run.record import RunRecord
from kern.run.tool import ToolCall, ToolExecution


@dataclass(slots=True)
class Turn:
    """A model's answer, and what became of the tool calls in it.

    Attributes:
        number: which of the run's answers it is, from 1 on.
        message: the answer.
        executions: what the calls returned, by their place in the answer.
        started: the calls that are known to have begun, by their place.
        allowed: the calls that a person has allowed to begin again, by their place.
    """

    number: int
    message: Message
    executions: dict[int, ToolExecution] = field(default_factory=dict)
    started: set[int] = field(default_factory=set)
    allowed: set[int] = field(default_factory=set)

    @property
    def open_calls(self) -> list[tuple[int, ToolCall]]:
        """The calls without a result, with their places."""
        calls = enumerate(self.message.tool_calls)
        return [(place, call) for place, call in calls if place not in self.executions]

    @property
    def messages(self) -> list[Message]:
        """The answer and the results there are, in the order of the calls."""
        results = [
            Message("tool", self.executions[place].result, tool_call_id=call.id)
            for place, call in enumerate(self.message.tool_calls)
            if place in self.executions
        ]
        return [self.message, *results]


@dataclass(slots=True, eq=False)
class Attempt:
    """One executor's try at a run.

    Attributes:
        spec: the agent, as it was when the run was submitted or served.
        input: what the run adds to the conversation, as JSON text.
        output: the run as its caller will see it.
        store: where the run is kept; None for nowhere.
        journal: where its steps are written down.
        number: which attempt it is, from 1 on; the database hears only the newest one.
        foreground: whether it belongs to a caller who waits, and ends when the caller goes.
        timeout: the run's time limit in seconds, or None.
        remaining: the seconds that are left of it.
        tries: how many more attempts may fail after this one.
        failures: how many attempts have failed or were lost before it.
        postponed: the seconds after which the next attempt may begin, once this one has failed.
        context: what the model is told before the run's own messages.
        history: the earlier runs of the session that are part of the context.
        turns: the model's answers so far.
        replayed: how many of them earlier attempts have journaled.
        handle: the answer that the provider keeps and that was asked for last.
        failure: what the run failed of, once it has.
        is_settled: whether the run has ended with it, and that is stored.
        last_seq: the number of the last row that earlier attempts have journaled, or 0.
        is_pinned: whether the spec is that of the run's submit, in this process.
        calls: counts its tool calls that are under way, where somebody wants to know.
        refusal: why this process cannot execute the run, once that is known.
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
    tries: int = 0
    failures: int = 0
    postponed: float | None = None
    context: list[Message] = field(default_factory=list)
    history: list[str] = field(default_factory=list)
    turns: list[Turn] = field(default_factory=list)
    replayed: int = 0
    handle: str | None = None
    failure: BaseException | None = None
    is_settled: bool = False
    last_seq: int = 0
    is_pinned: bool = False
    calls: OpenCalls | None = None
    refusal: str | None = None

    @classmethod
    def begin(
        cls,
        record: RunRecord,
        spec: Spec,
        store: Store | None,
        *,
        emit: Emit | None = None,
        foreground: bool = False,
        is_pinned: bool = True,
    ) -> Self:
        """Return the attempt that a record is in, ready to be executed.

        Args:
            record: the run, RUNNING, as it was accepted or claimed.
            spec: the agent.
            store: where the run is kept; None for nowhere.
            emit: told of each event, where the run's own caller streams it.
            foreground: whether it belongs to a caller who waits.
            is_pinned: whether the spec is that of the run's submit, in this process.
        """
        output = RunOutput.from_record(record)
        output.agent_name = spec.name
        output.model, output.model_provider = spec.model.id, spec.model.provider
        return cls(
            spec,
            record.input or "",
            output,
            store,
            Journal(store, output, record.attempt, record.last_seq, emit, record.streamed),
            record.attempt,
            foreground=foreground,
            timeout=record.timeout,
            remaining=record.timeout if record.remaining is None else record.remaining,
            # A foreground run's caller is there to hear of a failure.
            tries=0 if foreground else max(0, (record.max_attempts or 1) - record.failures - 1),
            failures=record.failures,
            last_seq=record.last_seq,
            is_pinned=is_pinned,
        )

    @property
    def conversation(self) -> list[Message]:
        """Everything that the model is told."""
        return [*self.context, *self.output.messages]

    @property
    def is_answered(self) -> bool:
        """Whether the model has given its last answer."""
        return bool(self.turns) and not self.turns[-1].message.tool_calls

    def show(self) -> None:
        """Let the output show the turns so far."""
        output = self.output
        output.messages = list(RunInput.from_json(self.input).messages)
        for turn in self.turns:
            output.messages += turn.messages
            output.content = turn.message.text or output.content
        output.tools = [
            turn.executions[place] for turn in self.turns for place in sorted(turn.executions)
        ]

    async def replay(self) -> None:
        """Read what earlier attempts have journaled.

        Raises:
            JournalError: a row is damaged, or was written by a newer kern.
            ValueError: the stored input or history is damaged.
        """
        store, run_id = self.store, self.output.run_id
        rows = (
            await until_available(lambda: store.events(run_id, 0))
            if store and self.last_seq
            else []
        )
        self.output.metrics = Metrics()  # What an earlier end has counted is counted again.
        for row in rows:
            event, payload = read_row(row)
            with reading(row):
                self._replay(event, payload)
        self.replayed = len(self.turns)
        await self._set_context()
        self.show()

    def _replay(self, event: RunEvent, payload: dict[str, object]) -> None:
        match event:
            case RunEvent.model_request_started:
                self.handle = cast(str | None, payload.get("handle"))
            case RunEvent.model_request_completed:
                self.handle = None
                self.history = _texts(payload.get("history", self.history))
                message = Message.from_dict(cast(dict[str, object], payload["message"]))
                self.turns.append(Turn(len(self.turns) + 1, message))
                metrics = cast(dict[str, object], payload["metrics"])
                self.output.metrics.add(Metrics.from_dict(metrics))
            case RunEvent.tool_call_started:
                turn, place = self.turns[-1], cast(int, payload["place"])
                _ = turn.message.tool_calls[place]
                turn.started.add(place)
                turn.allowed.discard(place)  # It was allowed to begin once more, and has begun.
            case RunEvent.tool_call_completed | RunEvent.tool_call_error:
                place = cast(int, payload["place"])
                call = self.turns[-1].message.tool_calls[place]
                self.turns[-1].executions[place] = ToolExecution(
                    call.id,
                    call.name,
                    call.arguments,
                    cast(str, payload["result"]),
                    event is RunEvent.tool_call_error,
                )
            case RunEvent.run_continued:
                if self.turns:
                    self.turns[-1].allowed |= set(cast(list[int], payload.get("retry", [])))

    async def _set_context(self) -> None:
        system, limit = self.spec.system_message, self.spec.history_runs
        self.context = [Message("system", system)] if system else []
        store, session_id, run_id = self.store, self.output.session_id, self.output.run_id
        if store is None or not (limit or self.history):
            return
        if self.turns:
            # What the model was told in the first attempt, not what the session says by now.
            found = await until_available(lambda: store.outputs(self.history))
        else:
            found = await until_available(lambda: store.history(session_id, run_id, limit))
            self.history = [run_id for run_id, _ in found]
        for _, output in found:
            self.context += messages_of(decode_object(output))


def _texts(values: object) -> list[str]:
    if not isinstance(values, list) or not all(isinstance(each, str) for each in values):
        raise TypeError(f"expected a list of texts, found {values!r:.100}")
    return values
