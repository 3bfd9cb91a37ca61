"""What an event costs that is told to a client: the same however long the run, and not more."""

import sys

import pytest
from instructions import counting
from journaled import CREATED, Journaled
from response_cases import Case

from kern.run.steps import CallBegun
from kern.run.tool import ToolCall
from kern.run.tool_steps import ToolEnded
from kern.server.chat.chunks import ChunkTranslator, CompletionView
from kern.server.chat.chunks import frame as chunk_frame
from kern.server.responses.events import Translator, frame

# The figures are those of CPython 3.11; other versions count a little differently.
_ROOM = 1.15 if sys.version_info[:2] == (3, 11) else 1.5


def _texts(number: int) -> Journaled:
    pieces = [f"word {each} " for each in range(number)]
    return Journaled(CallBegun()).say(*pieces).answer("".join(pieces)).end()


def _calls(number: int) -> Journaled:
    run = Journaled()
    for each in range(number):
        call = ToolCall(f"call_{each}", "work", "{}")
        run.answer("I work.", call).add(ToolEnded(0, "done"))
    return run.answer("Done.").end()


def _of_responses(run: Journaled) -> int:
    events, translator = run.events(), Translator(Case(run).view)
    translator.begin()
    with counting() as count:
        for event in events:
            for each in translator.take(event):
                frame(each)
    return count.instructions


def _of_chat(run: Journaled) -> int:
    events = run.events()
    view = CompletionView(id="chatcmpl-run", run_id="run", model="helper", created=CREATED)
    translator = ChunkTranslator(view)
    with counting() as count:
        for event in events:
            for each in translator.take(event):
                chunk_frame(each)
    return count.instructions


def _each_of_more(counted: list[int]) -> float:
    few, many = counted
    return (many - few) / 100


@pytest.mark.parametrize("begin", [100, 1000])
def test_a_piece_of_text(begin: int) -> None:
    found = _each_of_more([_of_responses(_texts(each)) for each in (begin, begin + 100)])
    assert found <= 131 * _ROOM


@pytest.mark.parametrize("begin", [100, 400])
def test_a_model_call_with_text_and_a_tool_call(begin: int) -> None:
    found = _each_of_more([_of_responses(_calls(each)) for each in (begin, begin + 100)])
    assert found <= 1860 * _ROOM


def test_a_chunk() -> None:
    found = _each_of_more([_of_chat(_texts(each)) for each in (100, 200)])
    assert found <= 114 * _ROOM
