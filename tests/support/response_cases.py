"""Runs of every kind that a response can come from, each with the response that was asked for."""

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from journaled import CREATED, USED, Journaled

from kern.run.base import RunStatus
from kern.run.content import CitationPart, TextPart
from kern.run.event import RunOutputEvent
from kern.run.message import Message
from kern.run.requirement import RunRequirement
from kern.run.steps import (
    OUTPUT_MODEL,
    PARSER_MODEL,
    AnswerRefused,
    AttemptBegun,
    AttemptFailed,
    CallBegun,
    CallBroken,
    Continued,
    HookEnded,
    Paused,
    SecondaryAnswered,
)
from kern.run.tool import ToolCall, ToolExecution
from kern.run.tool_steps import ToolConcluded, ToolEnded, ToolSlice
from kern.server.responses.events import Translator, encoded
from kern.server.responses.object import Json, ResponseView

WEATHER = ToolCall("call_1", "weather", '{"city":"Rome"}')
REFUND = ToolCall("call_2", "refund", '{"amount":5}')
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
AS_JSON: Json = {
    "format": {"type": "json_schema", "name": "City", "schema": SCHEMA, "strict": True}
}


class Case(NamedTuple):
    """A run, and the response that is made of it.

    Attributes:
        run: the run.
        stretch: after how many pauses the response begins.
        ends: whether it has ended.
        more: what the response was asked for beside its input.
        child: events of another run among its own, before the last one.
    """

    run: Journaled
    stretch: int = 0
    ends: bool = True
    more: Mapping[str, Any] = MappingProxyType({})
    child: tuple[RunOutputEvent, ...] = ()

    @property
    def view(self) -> ResponseView:
        """What the response was asked for."""
        suffix = f".{self.stretch}" if self.stretch else ""
        return ResponseView(
            id=f"resp_run{suffix}",
            run_id="run",
            model="helper",
            server_label="helper",
            created_at=CREATED,
            **self.more,
        )

    def events(self, *, pieces: bool = True) -> list[RunOutputEvent]:
        """Return what a reader of the run is told."""
        told = self.run.events(pieces=pieces, rows=None if self.ends else len(self.run.rows))
        return [*told[:-1], *self.child, *told[-1:]]

    def translated(self, *, pieces: bool = True) -> tuple[Translator, list[Json]]:
        """Return all that clients are told, and who has said so."""
        translator = Translator(self.view, stretch=self.stretch)
        told = translator.begin()
        for each in self.events(pieces=pieces):
            told += translator.take(each)
        if self.ends:
            told += translator.end(self.run.output)
        return translator, told


def text() -> Case:
    return Case(Journaled(CallBegun()).say("Hello", " 🦊\n").answer("Hello 🦊\nthere").end())


def queued() -> Case:
    return Case(Journaled(), ends=False, more={"background": True})


def background() -> Case:
    return Case(text().run, more={"background": True, "metadata": {"topic": "foxes"}})


def tools() -> Case:
    run = Journaled(CallBegun()).say("Let me ", "look.")
    same = ToolCall("call_1", "weather", '{"city":"Bonn"}')
    run.answer("Let me look.", WEATHER, same, REFUND, starts=(0, 1))
    run.add(ToolEnded(1, "rain"), ToolEnded(0, "sun"), ToolEnded(2, "Not called.", error=True))
    return Case(run.answer("Sun in Rome.").end())


def tool_failed() -> Case:
    run = Journaled().answer("", WEATHER).add(ToolEnded(0, "No such city.", error=True))
    return Case(run.answer("I do not know.").end())


def tool_interrupted() -> Case:
    run = Journaled().answer("", WEATHER).add(AttemptBegun(2, (0,)), ToolEnded(0, "sun"))
    return Case(run.answer("Sun.").end())


def voided() -> Case:
    run = Journaled(CallBegun()).say("It is ", "rai").add(CallBroken("It is rai", (6, 3)))
    run.add(AttemptFailed("The connection was lost.", "ModelError"), AttemptBegun(2), CallBegun())
    return Case(run.say("The ", "sun shines.").answer("The sun shines.").end())


def voided_as_json() -> Case:
    run = Journaled(CallBegun()).say('{"ci').add(CallBroken('{"ci', (4,)), CallBegun())
    run.answer('{"city":"Rome"}')
    return Case(run.end(content={"city": "Rome"}), more={"text": AS_JSON})


def refused_for_its_form() -> Case:
    run = Journaled().answer("Rome!", WEATHER).add(ToolEnded(0, "sun")).answer("No JSON.")
    run.add(AnswerRefused("It is no JSON.")).answer('{"city":"Rome"}')
    return Case(run.end(content={"city": "Rome"}), more={"text": AS_JSON})


def parsed() -> Case:
    run = Journaled().answer("It is Rome.")
    run.add(SecondaryAnswered(PARSER_MODEL, Message("assistant", '{"city":"Rome"}'), USED))
    return Case(run.end(content={"city": "Rome"}), more={"text": AS_JSON})


def fenced() -> Case:
    run = Journaled().answer('```json\n{"city": "Rome"}\n```')
    return Case(run.end(content={"city": "Rome"}), more={"text": AS_JSON})


def output_model() -> Case:
    run = Journaled(CallBegun()).say("plain").answer("plain words")
    run.add(SecondaryAnswered(OUTPUT_MODEL, Message("assistant", "fine words"), USED))
    return Case(run.end())


def earlier_text_replaced() -> Case:
    run = Journaled().answer("I look.", WEATHER).add(ToolEnded(0, "sun")).answer("")
    run.add(SecondaryAnswered(OUTPUT_MODEL, Message("assistant", "fine words"), USED))
    return Case(run.end())


def hook_replaced() -> Case:
    run = Journaled().answer("my key is 123").add(HookEnded("post", 0, "mask", ("my key", "str")))
    return Case(run.end())


def hook_left_a_value() -> Case:
    run = Journaled().answer("three").add(HookEnded("post", 0, "count", ({"count": 3}, "dict")))
    return Case(run.end(content={"count": 3}))


def shown_pieces() -> Case:
    run = Journaled().answer("", WEATHER, REFUND)
    run.add(ToolSlice(0, "a1 ", True), ToolSlice(1, "b1 ", True), ToolSlice(0, "a2 ", True))
    run.add(AttemptBegun(2, (0,)), ToolSlice(0, "a3 ", True), ToolSlice(0, "quiet", False))
    run.add(ToolConcluded(0, "a3 a4", shown=True), ToolConcluded(1, "b1 b2", shown=True))
    return Case(run.answer("That is all.").end())


def refusal() -> Case:
    message = Message("assistant", "I cannot help with that.", refusal=True)
    return Case(Journaled().answer("I cannot help with that.", message=message).end())


def cited() -> Case:
    sources = [
        CitationPart("https://rome.example", "Rome", 0, 4),
        CitationPart("https://sun.example"),
    ]
    message = Message("assistant", [TextPart("Rome has sun."), *sources])
    return Case(Journaled().answer("Rome has sun.", message=message).end())


def client_calls() -> Case:
    run = (
        Journaled(CallBegun())
        .say("I ask ", "you.")
        .answer("I ask you.", WEATHER, REFUND, starts=(0,))
    )
    tools = [{"type": "function", "name": "refund", "parameters": SCHEMA, "strict": True}]
    return Case(run.add(ToolEnded(0, "sun")).end(), more={"tools": tools, "max_tool_calls": 3})


def _paused(*kinds: str) -> Journaled:
    run = (
        Journaled(CallBegun()).say("May I?").answer("May I?", WEATHER, REFUND, REFUND, starts=(0,))
    )
    run.add(ToolEnded(0, "sun"))
    waiting = [
        RunRequirement(
            f"run/1/{place}",
            kind,  # type: ignore[arg-type] # It is one.
            ToolExecution(REFUND.id, REFUND.name, REFUND.arguments),
            created_at=CREATED,
        )
        for place, kind in enumerate(kinds, 1)
    ]
    run.add(Paused(tuple(waiting)))
    run.output.requirements = waiting
    return run


def approval_requested() -> Case:
    return Case(_paused("confirmation", "confirmation").end(RunStatus.paused))


def input_requested() -> Case:
    return Case(_paused("confirmation", "user_input").end(RunStatus.paused))


def _approved() -> Journaled:
    run = _paused("confirmation").add(Continued(allowed=(1,)), AttemptBegun(2, (1,)))
    run.add(ToolEnded(1, "paid"), ToolEnded(2, "Not called: rejected.", error=True))
    return run.answer("Done.").end()


def first_of_two() -> Case:
    return Case(_approved())


def second_of_two() -> Case:
    return Case(_approved(), stretch=1, more={"previous_response_id": "resp_run"})


def _broken() -> Journaled:
    run = Journaled(CallBegun()).say("I look.").answer("I look.", WEATHER, starts=())
    return run.add(AttemptBegun(2, (0,)))


def failed() -> Case:
    kind = "ModelRateLimitError"
    return Case(_broken().end(RunStatus.error, "I look.", "Too many requests.", kind))


def retried() -> Case:
    run = _broken().add(AttemptFailed("Too many requests.", "ModelRateLimitError"), Continued())
    return Case(run.add(AttemptBegun(3, (0,)), ToolEnded(0, "sun")).answer("Sun.").end())


def cut_off() -> Case:
    run = Journaled(CallBegun()).say("One, two").add(CallBroken("One, two", (8,)))
    end = run.end(RunStatus.error, "One, two", "The answer was cut off.", "OutputLimitError")
    return Case(end, more={"max_output_tokens": 2})


def cut_off_unread() -> Case:
    run = Journaled().end(RunStatus.error, "One, two", "It was cut off.", "OutputLimitError")
    return Case(run, more={"background": True})


def cancelled() -> Case:
    run = Journaled(CallBegun()).say("I loo").add(CallBroken("I loo", (5,)))
    return Case(run.end(RunStatus.cancelled, "I loo"), more={"background": True})


def with_child() -> Case:
    child = Journaled(CallBegun(), run_id="child").say("psst").answer("psst").end()
    run = Journaled().answer("", WEATHER).add(ToolEnded(0, "psst")).answer("It says psst.").end()
    return Case(run, child=tuple(child.events()))


CASES: dict[str, Callable[[], Case]] = {
    each.__name__: each
    for each in (
        text,
        queued,
        background,
        tools,
        tool_failed,
        tool_interrupted,
        voided,
        voided_as_json,
        refused_for_its_form,
        parsed,
        fenced,
        output_model,
        earlier_text_replaced,
        hook_replaced,
        hook_left_a_value,
        shown_pieces,
        refusal,
        cited,
        client_calls,
        approval_requested,
        input_requested,
        first_of_two,
        second_of_two,
        failed,
        retried,
        cut_off,
        cut_off_unread,
        cancelled,
        with_child,
    )
}
"""The runs, by what they are about."""


def held(told: Sequence[Json]) -> list[Json]:
    """Return the items that a client has who takes each as it is done, and what is void of it."""
    items: dict[int, Json] = {}
    done: set[int] = set()
    for each in told:
        index = each.get("output_index", -1)
        if each["type"] == "response.output_item.done":
            assert index not in done, "an item is done once"
            done.add(index)
        if "item" in each:
            items[index] = each["item"]
        elif each["type"] == "response.content_part.done" and index in done:
            assert not any(each["part"].get(name) for name in ("text", "refusal"))
            items[index] = {**items[index], "status": "incomplete", "content": []}
    return [items[index] for index in sorted(items)]


def golden(name: str) -> str:
    """Return what clients are told of one of these runs, a line an event."""
    _, told = CASES[name]().translated()
    return "".join(encoded(each).decode() + "\n" for each in told)


if __name__ == "__main__":  # Writes the golden files of tests/server/responses anew.
    for name in CASES:
        path = Path(sys.argv[1]) / f"{name}.jsonl"
        path.write_text(golden(name))
