"""Messages and tool calls under the names that users know, there and back."""

import json

import msgspec
import pytest

from kern.errors import InvalidInputError
from kern.media import Audio, Image
from kern.run.content import CitationPart, ImagePart, ReasoningPart, TextPart, Url
from kern.run.message import Message, Metrics
from kern.run.requirement import RunRequirement, requirements_from_json, requirements_to_json
from kern.run.tool import ToolCall, ToolExecution


def test_a_message_is_made_by_keyword_and_keeps_what_few_have() -> None:
    message = Message(role="user", content="Hi", name="Ada", id="m1", created_at=1.0)
    assert (message.name, message.id, message.created_at) == ("Ada", "m1", 1.0)
    assert (message.references, message.from_history) == (None, False)
    kept = Message.from_dict(json.loads(json.dumps(message.to_dict())))
    assert (kept, kept.name) == (message, "Ada")


def test_a_message_without_them_is_stored_as_ever() -> None:
    assert Message("user", "Hi").to_dict() == {"role": "user", "content": "Hi"}


def test_media_becomes_a_part_of_the_content() -> None:
    image = Image(url="https://example.com/a.png")
    message = Message("user", "Look.", images=[image])
    assert message.content == (
        TextPart("Look."),
        ImagePart(Url("https://example.com/a.png"), "image/png"),
    )
    assert [each.url for each in message.images] == ["https://example.com/a.png"]
    assert (message.audio, message.videos, message.files, message.image_output) == (
        [],
        [],
        [],
        None,
    )


def test_what_an_assistant_says_beside_its_text_is_there_by_name() -> None:
    sound = Message("assistant", "Hi", audio=[Audio(content=b"RIFF....WAVE")])
    assert sound.audio_output is not None
    parts = (ReasoningPart("Hm."), TextPart("Bonn."), CitationPart("https://example.com", "Bonn"))
    message = Message("assistant", parts)
    assert (message.reasoning_content, message.get_content_string()) == ("Hm.", "Bonn.")
    assert message.citations is not None
    assert [(each.title, each.url) for each in message.citations.urls] == [
        ("Bonn", "https://example.com")
    ]
    assert Message("assistant", "Bonn.", reasoning_content="Hm.").reasoning_content == "Hm."


def test_calls_may_be_given_and_read_in_the_form_of_openai() -> None:
    given = {"id": "1", "type": "function", "function": {"name": "add", "arguments": '{"a":1}'}}
    message = Message(role="assistant", tool_calls=[given])
    assert message.tool_calls == [ToolCall("1", "add", '{"a":1}')]
    call = message.tool_calls[0]
    assert (dict(call), call.get("index"), call["function"]["name"]) == (given, None, "add")


def test_a_wrong_keyword_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(TypeError, match=r"'rol'.*Did you mean 'role'"):
        Message("user", "Hi", rol="user")  # type: ignore[call-arg] # what is tested
    with pytest.raises(InvalidInputError, match="media must be Image, Audio and so on, not str"):
        Message("user", "Hi", images=["a.png"])  # type: ignore[list-item] # what is tested


def test_arguments_are_a_dict_and_no_text_is_lost() -> None:
    call = ToolExecution("1", "add", '{"a": 1}')
    assert (call.tool_args, call.arguments) == ({"a": 1}, '{"a": 1}')
    assert call.to_dict()["tool_args"] == {"a": 1}
    for text in ("[1]", "not JSON", "", '"a"', "[" * 100_000):
        broken = ToolExecution("1", "add", text)
        assert (broken.tool_args, broken.arguments) == ({}, text)
        assert ToolExecution.from_dict(broken.to_dict()) == broken
    assert ToolExecution.from_dict(call.to_dict()).tool_args == {"a": 1}


OLD_CALL = (
    '{"tool_call_id":"1","tool_name":"pay","tool_args":"{\\"a\\": 1}","result":null,'
    '"tool_call_error":false}'
)
"""A call as kern 0.1 stores it."""


def test_a_call_of_an_older_version_is_read_and_one_of_this_is_read_by_it() -> None:
    call = msgspec.json.decode(OLD_CALL, type=ToolExecution)
    assert call == ToolExecution("1", "pay", '{"a": 1}')
    assert json.loads(msgspec.json.encode(call))["tool_args"] == '{"a": 1}'
    old = f'[{{"id":"run/1/0","kind":"confirmation","tool_execution":{OLD_CALL}}}]'
    [requirement] = requirements_from_json(old)
    assert requirement.tool_execution.tool_args == {"a": 1}
    text = requirements_to_json([RunRequirement("run/1/0", "confirmation", call)])
    assert json.loads(text)[0]["tool_execution"]["tool_args"] == '{"a": 1}'


def test_a_call_says_how_long_it_took_and_whether_it_waits() -> None:
    call = ToolExecution("1", "pay", "{}", created_at=10.0, duration=0.5)
    assert call.metrics is not None
    assert call.metrics.to_dict() == {"start_time": 10.0, "end_time": 10.5, "duration": 0.5}
    assert ToolExecution("1", "pay", "{}").metrics is None
    assert ToolExecution("1", "pay", "{}", requires_confirmation=True).is_paused
    assert not ToolExecution(
        "1", "pay", "{}", requires_confirmation=True, confirmed=False
    ).is_paused


def test_metrics_have_the_names_that_users_know() -> None:
    used = Metrics(input_tokens=9, cached_tokens=4, audio_tokens=3, audio_output_tokens=1)
    assert (used.cache_read_tokens, used.audio_total_tokens, used.audio_input_tokens) == (4, 3, 2)
    assert used.details is None
    assert used.to_dict() == {
        "input_tokens": 9,
        "cached_tokens": 4,
        "audio_tokens": 3,
        "audio_output_tokens": 1,
    }
