"""The rows of a journal hold what was put into them, and say what they cannot give back."""

import json
from contextlib import suppress

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from journals import answer, row
from plain import plain
from strategies import Json, json_objects, json_values, parts, texts

from kern.errors import JournalError, NewerJournalError
from kern.reasoning import ReasoningStep, ReasoningSteps
from kern.run.beside_steps import ConversationCompacted, ResultsCompressed, TextsEmbedded, Thought
from kern.run.content import ImagePart, Inline, TextPart
from kern.run.entry import Entry, read_row, write_row
from kern.run.message import Message, Metrics
from kern.run.metrics import ModelMetrics
from kern.run.record import JournalRow
from kern.run.references import MessageReferences
from kern.run.requirement import RunRequirement
from kern.run.state import StatePatch
from kern.run.steps import (
    PIECE_KINDS,
    AnswerKept,
    AnswerRefused,
    AnyStep,
    AttemptBegun,
    AttemptFailed,
    CallBegun,
    CallBroken,
    ContextBuilt,
    Continued,
    HookEnded,
    KnowledgeSearched,
    MessagesAdded,
    ModelAnswered,
    Paused,
    SecondaryAnswered,
    StateChanged,
    TextSlice,
    Traced,
)
from kern.run.tool import ToolCall, ToolExecution
from kern.run.tool_steps import (
    ChildBegun,
    ChildEnded,
    CustomHappened,
    SleepBegun,
    StepEnded,
    ToolConcluded,
    ToolEnded,
    ToolsBegun,
    ToolSlice,
)

numbers = st.integers(0, 2**31 - 1)
places = st.lists(numbers, max_size=3).map(tuple)
seconds = st.floats(0, 2e9)
counts = st.integers(0, 2**53)
provider_items = st.lists(
    st.dictionaries(texts, st.none() | st.booleans() | st.integers(-9, 9) | texts, max_size=3),
    max_size=2,
)
contents = texts | st.lists(parts, max_size=3).map(tuple)
messages = st.builds(
    Message,
    st.just("assistant"),
    st.none() | contents,
    st.lists(st.builds(ToolCall, texts, texts, texts), max_size=3),
    st.none() | texts,
    st.booleans(),
    st.none() | texts,
    provider_items,
)
metrics = st.builds(
    Metrics,
    **dict.fromkeys(Metrics.__struct_fields__, counts)
    | {
        "duration": st.none() | seconds,
        "by_model": st.none() | st.just({"model": [ModelMetrics("id", "provider", 1)]}),
        "additional_metrics": st.none() | st.dictionaries(texts, texts, max_size=3),
    },
)
executions = st.builds(ToolExecution, texts, texts, texts, st.none() | texts, st.booleans())
requirements = st.builds(
    RunRequirement,
    texts,
    st.sampled_from(["confirmation", "unknown_outcome"]),
    executions,
    st.none() | st.dictionaries(texts, texts, max_size=3),
    seconds,
    st.none() | seconds,
    st.none() | st.booleans(),
    st.none() | texts,
    st.none() | texts,
)
patches = st.builds(StatePatch, json_objects, st.lists(texts, max_size=3).map(tuple), json_objects)
found = st.builds(MessageReferences, texts, st.lists(json_objects, max_size=2), st.none() | seconds)
STEPS: dict[type[AnyStep], st.SearchStrategy[AnyStep]] = {
    AttemptBegun: st.builds(AttemptBegun, numbers, places),
    CallBegun: st.builds(CallBegun),
    TextSlice: st.builds(TextSlice, texts),
    AnswerKept: st.builds(AnswerKept, texts, st.none() | texts),
    ModelAnswered: st.builds(
        ModelAnswered,
        messages,
        metrics,
        places,
        places,
        st.lists(texts, max_size=3).map(tuple),
        st.none() | texts,
        st.none() | texts,
    ),
    AnswerRefused: st.builds(AnswerRefused, texts),
    SecondaryAnswered: st.builds(SecondaryAnswered, texts, messages, metrics, st.none() | texts),
    CallBroken: st.builds(CallBroken, texts, places),
    ToolEnded: st.builds(ToolEnded, numbers, contents, st.booleans(), st.none() | patches),
    Paused: st.builds(Paused, st.lists(requirements, max_size=2).map(tuple)),
    Continued: st.builds(Continued, places),
    AttemptFailed: st.builds(AttemptFailed, st.none() | texts),
    StateChanged: st.builds(StateChanged, patches),
    StepEnded: st.builds(StepEnded, numbers, texts, numbers, contents, st.none() | texts),
    SleepBegun: st.builds(SleepBegun, numbers, numbers, seconds, st.booleans()),
    HookEnded: st.builds(
        HookEnded,
        st.sampled_from(["pre", "post"]),
        numbers,
        texts,
        st.none() | st.tuples(texts | st.lists(texts, max_size=2), texts),
    ),
    ContextBuilt: st.builds(
        ContextBuilt, st.none() | messages, st.none() | texts, st.none() | found
    ),
    KnowledgeSearched: st.builds(KnowledgeSearched, found),
    ToolConcluded: st.builds(
        ToolConcluded,
        numbers,
        contents,
        st.booleans(),
        ends=st.booleans(),
        shown=st.booleans(),
        messages=st.lists(messages, max_size=2).map(tuple),
        rejected=st.none() | texts,
    ),
    ToolsBegun: st.builds(ToolsBegun, places),
    ChildBegun: st.builds(ChildBegun, numbers, texts, st.booleans()),
    ChildEnded: st.builds(ChildEnded, numbers, metrics),
    MessagesAdded: st.builds(
        MessagesAdded, st.lists(messages, max_size=2).map(tuple), st.lists(texts).map(tuple)
    ),
    ToolSlice: st.builds(ToolSlice, numbers, texts, st.booleans()),
    CustomHappened: st.builds(
        CustomHappened, numbers, texts, st.dictionaries(texts, json_values, max_size=2)
    ),
    Traced: st.builds(Traced, texts),
    Thought: st.builds(
        Thought,
        st.builds(
            ReasoningSteps,
            st.lists(st.builds(ReasoningStep, texts, texts), max_size=2),
            st.none() | texts,
        ),
        metrics=metrics,
        model=st.none() | texts,
    ),
    ResultsCompressed: st.builds(
        ResultsCompressed,
        st.lists(st.tuples(numbers, numbers, st.none() | texts), max_size=2).map(tuple),
        metrics=metrics,
    ),
    ConversationCompacted: st.builds(
        ConversationCompacted,
        texts,
        texts,
        st.none() | numbers,
        history=st.lists(texts, max_size=2).map(tuple),
        metrics=metrics,
    ),
    TextsEmbedded: st.builds(
        TextsEmbedded, st.none() | texts, metrics=metrics, model=st.none() | texts
    ),
}
steps = st.one_of(*STEPS.values())

HOSTILE = ["", "\x00", "\ud800", "a\udfffb", "\udfff\ud800", "\U0001f600", "\u2028", '"\\', "é" * 9]


@given(step=steps, seq=numbers, event=numbers)
def test_a_step_comes_back_equal(step: AnyStep, seq: int, event: int) -> None:
    written = write_row("run", Entry(seq, event, step))
    assert (written.run_id, written.seq, written.event) == ("run", seq, event)
    assert read_row(msgspec.structs.replace(written, created_at=7.5)) == Entry(
        seq, event, step, 7.5
    )


def test_every_kind_of_step_is_tried() -> None:
    assert set(STEPS) == set(AnyStep.__args__)
    pieces = {kind.__name__ for kind in STEPS if kind.piece}
    assert pieces == set(PIECE_KINDS)
    assert all(kind.skippable for kind in STEPS if kind.piece)


@pytest.mark.parametrize("text", [*HOSTILE, "\x00é🦊\ud800" * 250_000], ids=plain)
def test_a_hostile_text_comes_back_equal(text: str) -> None:
    asked = ToolCall(text, text, text)
    image = ImagePart(Inline(text.encode(errors="surrogatepass")), text)
    for step in (
        TextSlice(text),
        ToolEnded(0, text),
        ToolEnded(0, (TextPart(text), image)),
        AttemptFailed(text),
        answer(text, asked),
    ):
        assert read_row(row("run", 1, step)).step == step


@given(step=steps)
def test_what_is_stored_of_a_step_is_a_json_object_that_databases_take(step: AnyStep) -> None:
    payload = row("run", 1, step).payload
    assert isinstance(json.loads(payload), dict)
    assert "\x00" not in payload
    payload.encode()  # It has no lone surrogate.


@given(step=steps, value=json_values)
def test_fields_of_the_future_are_ignored(step: AnyStep, value: Json) -> None:
    sound = row("run", 1, step)
    payload = {"future": value} | json.loads(sound.payload) | {"beyond": value}
    assert read_row(msgspec.structs.replace(sound, payload=json.dumps(payload))).step == step


def test_fields_of_the_future_are_ignored_further_inside() -> None:
    call, metrics = ToolCall("call", "work", "{}"), Metrics(input_tokens=3)
    step = ModelAnswered(Message("assistant", "Hm.", [call]), metrics)
    sound = row("run", 1, step)
    payload = json.loads(sound.payload)
    for inside in (payload["message"], payload["message"]["tool_calls"][0], payload["metrics"]):
        inside["future"] = {"a": [1]}
    assert read_row(msgspec.structs.replace(sound, payload=json.dumps(payload))).step == step


def test_fields_that_an_older_kern_did_not_know_have_their_defaults() -> None:
    payload = '{"message":{"role":"assistant"},"metrics":{}}'
    found = read_row(JournalRow("run", 1, 2, "ModelAnswered", False, payload)).step
    assert found == ModelAnswered(Message("assistant"), Metrics())


@pytest.mark.parametrize("payload", ['{"a":1}', "[]", "null", "no JSON"])
def test_an_unknown_kind_is_skipped_where_its_row_allows_that(payload: str) -> None:
    found = read_row(JournalRow("run", 3, 4, "OfTheFuture", True, payload, 7.5))
    assert found == Entry(3, 4, None, 7.5)


def test_an_unknown_kind_that_may_not_be_skipped_asks_for_a_newer_kern() -> None:
    with pytest.raises(
        NewerJournalError,
        match=r"^Row 3 of the journal of run run holds a 'OfTheFuture', .+ Upgrade kern",
    ):
        read_row(JournalRow("run", 3, 4, "OfTheFuture", False, "{}"))


def test_a_kind_with_an_endless_name_is_named_in_short() -> None:
    with pytest.raises(NewerJournalError) as error:
        read_row(JournalRow("run", 3, 4, "Future" * 100_000, False, "{}"))
    assert len(str(error.value)) < 300


DAMAGED = {
    "no JSON": ("TextSlice", "Hi"),
    "half of it": ("TextSlice", '{"text":"H'),
    "nothing": ("TextSlice", ""),
    "a list": ("TextSlice", '["Hi"]'),
    "no object": ("TextSlice", "null"),
    "a field is missing": ("TextSlice", "{}"),
    "a field is of another kind": ("TextSlice", '{"text":3}'),
    "a text as a number": ("ToolEnded", '{"place":"0","content":"a"}'),
    "a truth as a number": ("ToolEnded", '{"place":true,"content":"a"}'),
    "a fraction as a number": ("AttemptBegun", '{"attempt":1.5}'),
    "a lone surrogate and another kind": ("TextSlice", '{"text":["\\ud800"]}'),
    "a role that there is not": (
        "ModelAnswered",
        '{"message":{"role":"nobody"},"metrics":{}}',
    ),
    "items of a provider that are none": (
        "ModelAnswered",
        '{"message":{"role":"assistant","provider_items":[3]},"metrics":{}}',
    ),
    "a requirement of an unknown kind": (
        "Paused",
        '{"requirements":[{"id":"a","kind":"b","tool_execution":'
        '{"tool_call_id":"a","tool_name":"b","tool_args":"c"}}]}',
    ),
    "a bottomless list": ("TextSlice", '{"text":' + "[" * 100_000 + "]" * 100_000 + "}"),
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_a_damaged_row_is_named(damage: str) -> None:
    kind, payload = DAMAGED[damage]
    with pytest.raises(JournalError, match=r"^Row 3 of the journal of run run is damaged \("):
        read_row(JournalRow("run", 3, 4, kind, False, payload))


@given(kind=st.sampled_from([kind.__name__ for kind in STEPS]), value=json_objects | st.none())
def test_a_row_of_anything_is_read_or_named(kind: str, value: Json) -> None:
    found = JournalRow("run", 3, 4, kind, False, json.dumps(value))
    with suppress(JournalError):
        assert read_row(found).seq == 3
