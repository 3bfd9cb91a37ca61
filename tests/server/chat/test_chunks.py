"""Chat completions of runs are what OpenAI's types say and its client understands."""

from typing import Any

import pytest
from journaled import CREATED
from openai import APIError
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai_client import client_told, unknown
from response_cases import CASES, Case

from kern.server.chat.chunks import (
    LAST_FRAME,
    ChunkTranslator,
    CompletionView,
    completion,
    failure_of,
    frame,
)
from kern.server.responses.events import encoded
from kern.server.responses.object import Json

FAIL = {"voided", "failed", "cancelled", "approval_requested", "input_requested"}
REPLACED = {"output_model", "earlier_text_replaced", "hook_replaced", "hook_left_a_value"}
REPLACED |= {"voided_as_json", "refused_for_its_form", "shown_pieces"}
ENDED = [name for name, each in CASES.items() if each().ends and each().stretch == 0]
WHOLE = [name for name in ENDED if failure_of(CASES[name]().run.output) is None]


def view(**more: Any) -> CompletionView:
    return CompletionView(id="chatcmpl-run", run_id="run", model="helper", created=CREATED, **more)


def chunks(case: Case, **more: Any) -> list[Json]:
    translator = ChunkTranslator(view(**more))
    told = translator.begin()
    for each in case.events():
        told += translator.take(each)
    return told + translator.end(case.run.output)


@pytest.mark.parametrize("holds", [False, True])
@pytest.mark.parametrize("name", ENDED)
def test_every_chunk_is_what_the_types_of_openai_say(name: str, holds: bool) -> None:
    for each in chunks(CASES[name](), holds=holds, include_usage=True):
        if "error" not in each:
            chunk = ChatCompletionChunk.model_validate_json(encoded(each), strict=True)
            assert [*unknown(chunk)] == []


@pytest.mark.parametrize("name", WHOLE)
def test_a_whole_completion_is_what_the_types_of_openai_say(name: str) -> None:
    body = encoded(completion(view(), CASES[name]().run.output))
    assert [*unknown(ChatCompletion.model_validate_json(body, strict=True))] == []


@pytest.mark.parametrize("name", ["text", "tools", "client_calls", "refusal", "cited"])
def test_the_client_accumulates_what_it_is_told(name: str) -> None:
    case = CASES[name]()
    told = chunks(case, holds=True, include_usage=True)
    client = client_told([*map(frame, told), LAST_FRAME])
    with client.chat.completions.stream(
        model="helper", messages=[{"role": "user", "content": "Hi"}]
    ) as stream:
        final = stream.get_final_completion()
    whole = completion(view(), case.run.output)
    choice, expected = final.choices[0], whole["choices"][0]
    assert choice.finish_reason == expected["finish_reason"]
    assert (choice.message.content or None) == expected["message"]["content"]
    assert choice.message.refusal == expected["message"]["refusal"]
    calls = [each.function.arguments for each in choice.message.tool_calls or ()]
    assert calls == [
        each["function"]["arguments"] for each in expected["message"].get("tool_calls", ())
    ]
    assert final.usage is not None
    assert final.usage.total_tokens == whole["usage"]["total_tokens"]


def test_own_tools_run_silently_between_the_texts() -> None:
    told = chunks(CASES["tools"]())
    texts = [each["choices"][0]["delta"].get("content") for each in told]
    assert texts == ["", "Let me ", "look.", "\n\nSun in Rome.", None]


def test_open_calls_of_the_client_finish_as_tool_calls() -> None:
    told = chunks(CASES["client_calls"]())
    assert told[-1]["choices"][0]["finish_reason"] == "tool_calls"
    [call] = told[-2]["choices"][0]["delta"]["tool_calls"]
    assert (call["index"], call["id"], call["function"]["name"]) == (0, "call_2", "refund")


@pytest.mark.parametrize("name", sorted(FAIL | REPLACED))
def test_what_cannot_be_told_is_an_error_and_not_a_wrong_answer(name: str) -> None:
    case = CASES[name]()
    client = client_told([*map(frame, chunks(case)), LAST_FRAME])
    stream = client.chat.completions.create(
        model="helper", messages=[{"role": "user", "content": "Hi"}], stream=True
    )
    with pytest.raises(APIError):
        for _ in stream:
            pass


@pytest.mark.parametrize("name", sorted(REPLACED))
def test_what_may_be_replaced_is_told_at_the_end(name: str) -> None:
    case = CASES[name]()
    told = chunks(case, holds=True)
    texts = [each["choices"][0]["delta"].get("content") or "" for each in told]
    assert "".join(texts) == completion(view(), case.run.output)["choices"][0]["message"]["content"]


def test_an_answer_that_was_cut_off_finishes_for_its_length() -> None:
    assert chunks(CASES["cut_off"]())[-1]["choices"][0]["finish_reason"] == "length"


def test_events_of_other_runs_are_left_out() -> None:
    told = chunks(CASES["with_child"]())
    texts = [each["choices"][0]["delta"].get("content") for each in told]
    assert texts == ["", "It says psst.", None]
