"""Events of responses have gapless numbers, the same for every reader, whatever becomes of a run.

Journals are made up by the real fold: texts in any pieces, calls that are broken off and made
again, tools that show pieces of their results, answers that are refused or replaced, pauses, and
ends of every kind.
"""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from journaled import CREATED, USED, Journaled
from openai.types.responses import ResponseStreamEvent
from openai_client import client_told, unknown
from pydantic import TypeAdapter
from response_cases import Case, held

from kern.run.base import RunStatus
from kern.run.message import Message
from kern.run.requirement import RunRequirement
from kern.run.steps import (
    OUTPUT_MODEL,
    AnswerRefused,
    AnyStep,
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
from kern.server.responses.events import Translator, encoded, frame
from kern.server.responses.object import Json

EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
TEXTS = st.lists(st.sampled_from(["Hi ", "there", "🦊", "\n\n", "a", "b "]), max_size=4)
RESUMED = AttemptBegun(2)


def begin(draw: st.DrawFn, run: Journaled) -> str:
    """Have the model say something, which readers are told at once or later."""
    pieces = draw(TEXTS)
    if draw(st.booleans()):
        run.add(CallBegun()).say(*pieces)
    return "".join(pieces)


def ask(draw: st.DrawFn, run: Journaled) -> None:
    """Have the model answer, perhaps at its second try."""
    for _ in range(draw(st.integers(0, 2))):
        text = begin(draw, run)
        call = run.state.call
        run.add(CallBroken(text, () if call is None else call.slices))
        if draw(st.booleans()):
            run.add(AttemptFailed("It broke.", "ModelError"), RESUMED)
    text = begin(draw, run)
    number = len(run.state.turns)
    ids = st.sampled_from([f"{number}/0", f"{number}/1"])
    calls = [ToolCall(draw(ids), "work", "{}") for _ in range(draw(st.integers(0, 2)))]
    starts = [place for place in range(len(calls)) if draw(st.booleans())]
    run.answer(text, *calls, starts=starts)


def use(draw: st.DrawFn, run: Journaled, *, shows: bool) -> None:
    """Have a call of a tool go on."""
    (place, _), *_ = draw(st.permutations(run.state.turns[-1].open_calls))
    text = draw(st.sampled_from(["x ", "y ", "z"]))
    told: list[AnyStep] = [ToolEnded(place, text), ToolEnded(place, text, error=True)]
    if shows:
        told += [ToolSlice(place, text, True), ToolConcluded(place, text, shown=True)]
    again = tuple(each for each, _ in run.state.turns[-1].open_calls if draw(st.booleans()))
    run.add(draw(st.sampled_from([*told, AttemptBegun(2, again)])))


def pause(draw: st.DrawFn, run: Journaled) -> None:
    """Have it wait for a person, who then decides."""
    kinds = st.sampled_from(["confirmation", "user_input", "unknown_outcome"])
    waiting = tuple(
        RunRequirement(
            f"run/{len(run.state.turns)}/{place}",
            draw(kinds),  # type: ignore[arg-type] # It is one.
            ToolExecution(call.id, call.name, call.arguments),
            created_at=CREATED,
        )
        for place, call in run.state.turns[-1].open_calls
    )
    run.add(Paused(waiting))
    if draw(st.booleans()):
        run.add(Continued(tuple(place for place, _ in run.state.turns[-1].open_calls)), RESUMED)
        return
    run.output.requirements = [*waiting]
    run.end(RunStatus.paused)


def finish(draw: st.DrawFn, run: Journaled) -> None:
    """Have other models and hooks put their words in the place of the answer."""
    if draw(st.booleans()):
        said = Message("assistant", "".join(draw(TEXTS)))
        run.add(SecondaryAnswered(OUTPUT_MODEL, said, USED))
    for place in range(draw(st.integers(0, 2))):
        run.add(HookEnded("post", place, "hook", draw(st.sampled_from([None, ("put", "str")]))))
    run.end()


@st.composite
def runs(draw: st.DrawFn) -> Journaled:
    run = Journaled()
    shows = draw(st.booleans())
    for _ in range(draw(st.integers(1, 10))):
        turns = run.state.turns
        if run.state.is_answered and turns[-1].message.text and draw(st.booleans()):
            run.add(AnswerRefused("It does not fit."))
        elif run.state.is_answered:
            finish(draw, run)
        elif not turns or not turns[-1].open_calls:
            ask(draw, run)
        elif draw(st.integers(0, 3)):
            use(draw, run, shows=shows)
        else:
            pause(draw, run)
        if run.output.status is not RunStatus.pending:
            return run
    ends = [RunStatus.error, RunStatus.cancelled]
    return run.end(draw(st.sampled_from(ends)), error="It failed.", error_kind="ModelError")


def retried(run: Journaled) -> Journaled:
    """Return a run that has failed as a person has it go on."""
    again = Journaled(run_id="run")
    again.rows, again.state = [*run.rows], run.state
    if (call := run.state.call) is not None:
        again.add(CallBroken("".join(call.texts), call.slices))
    again.add(AttemptFailed("It failed.", "ModelError"), Continued(), RESUMED)
    return again.answer("Done.").end()


def numbers(told: list[Json]) -> list[int]:
    return [each["sequence_number"] for each in told]


def said(translator: Translator) -> str:
    items = translator.response()["output"]
    return "".join(part["text"] for each in items for part in each.get("content", ()))


@given(runs())
@settings(max_examples=60, deadline=None)
def test_numbers_are_gapless_and_the_same_for_every_reader(run: Journaled) -> None:
    pauses = sum(row.type == "Paused" for row in run.rows)
    for stretch in range(pauses + 1):
        case = Case(run, stretch)
        translator, told = case.translated()
        assert numbers(told) == [*range(len(told))]
        assert case.translated(pieces=False)[1] == told
        for rows in range(len(run.rows)):  # A reader that has come by then.
            reader = Translator(case.view, stretch=stretch)
            early = reader.begin()
            for each in run.events(rows=rows):
                early += reader.take(each)
            assert early == told[: len(early)]
        assert held(told) == translator.response()["output"]
        assert translator.is_ended == (stretch < pauses or run.output.status.is_terminal)


@given(runs())
@settings(max_examples=25, deadline=None)
def test_types_and_client_of_openai_understand_every_response(run: Journaled) -> None:
    translator, told = Case(run).translated()
    for each in told:
        assert [*unknown(EVENT.validate_json(encoded(each), strict=True))] == []
    with client_told(map(frame, told)).responses.stream(model="helper", input="Hi") as stream:
        assert [each.sequence_number for each in stream] == numbers(told)
        if told[-1]["type"] == "response.completed":
            assert stream.get_final_response().output_text == said(translator)


@given(runs())
@settings(max_examples=100, deadline=None)
def test_clients_have_the_text_that_counts(run: Journaled) -> None:
    state = run.state
    if state.is_shown or any(row.type in ("Paused", "ToolSlice") for row in run.rows):
        return
    if run.output.status is not RunStatus.completed:
        return
    if not state.turns[-1].message.text and any(each.complaint for each in state.turns):
        return  # The fold takes the answer that was refused for the one that is replaced.
    texts = [each.message.text for each in state.turns if each.complaint is None]
    if state.replaced is not None or state.secondary:
        last = max((at for at, each in enumerate(texts) if each), default=None)
        texts[last:] = [] if last is None else texts[last + 1 :]
        texts.append(state.answer_text or "")
    translator, _ = Case(run).translated()
    assert said(translator) == "".join(texts)


@given(runs())
@settings(max_examples=100, deadline=None)
def test_a_run_that_goes_on_after_its_end_keeps_the_numbers_before_it(run: Journaled) -> None:
    if run.output.status is not RunStatus.error:
        return
    pauses = sum(row.type == "Paused" for row in run.rows)
    _, failed = Case(run, pauses).translated()
    _, told = Case(retried(run), pauses).translated()
    assert told[: len(failed) - 1] == failed[:-1]
    assert told[len(failed) - 1]["type"] == "response.in_progress"
