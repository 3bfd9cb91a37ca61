"""What Claude is sent: messages, tools and parameters in the form of the Messages API."""

import base64
import json
from collections.abc import Sequence

import pytest
from anthropic.types.message_create_params import MessageCreateParamsNonStreaming
from sdk_types import misfits

from kern.errors import ConfigurationError, ModelError
from kern.models.anthropic.caching import Options
from kern.models.anthropic.params import joined
from kern.models.anthropic.wire import request_body
from kern.models.base import ModelRequest, OutputSchema, ToolChoice
from kern.models.origin import Origin
from kern.run.content import (
    AudioPart,
    Blob,
    CitationPart,
    FilePart,
    ImagePart,
    Inline,
    Part,
    ReasoningPart,
    TextPart,
    Url,
)
from kern.run.message import Message
from kern.run.tool import ToolCall, ToolSchema

ORIGIN = Origin("Anthropic", "api.anthropic.com", "claude-test")
PNG = b"\x89PNG\r\n\x1a\n and so on"
TOOL = ToolSchema("add", "Add numbers.", {"type": "object", "properties": {}, "required": []})


def sent(
    *messages: Message | str,
    own: dict[str, object] | None = None,
    options: Options | None = None,
    memo: dict[str, object] | None = None,
    **request: object,
) -> dict[str, object]:
    """Return the body of a request, which is one that the SDK's types allow."""
    said = [Message("user", each) if isinstance(each, str) else each for each in messages]
    asked = ModelRequest(said, memo={} if memo is None else memo, **request)  # type: ignore[arg-type]
    params = {"model": "claude-test", "max_tokens": 100, **(own or {})}
    body = request_body(asked, ORIGIN, params, options or Options())
    values: dict[str, object] = json.loads(
        b"{%b}" % b",".join(b'"%b":%b' % (name.encode(), each) for name, each in body.items())
    )
    assert misfits(values, MessageCreateParamsNonStreaming) == []
    return values


def turns(*messages: Message | str, **more: object) -> list[tuple[object, list[object]]]:
    """Return what a request says, as roles and blocks; a block of text as its text."""
    found = sent(*messages, **more)["messages"]  # type: ignore[arg-type]
    assert isinstance(found, list)
    return [
        (each["role"], [block.get("text", block) for block in each["content"]]) for each in found
    ]


def answer(text: str, *calls: tuple[str, str, str], **more: object) -> Message:
    called = [ToolCall(*each) for each in calls]
    return Message("assistant", text, tool_calls=called, **more)  # type: ignore[arg-type]


def result(call_id: str, content: str | tuple[Part, ...]) -> Message:
    return Message("tool", content, tool_call_id=call_id)


def test_a_question_with_instructions() -> None:
    body = sent(Message("system", "Be brief."), Message("system", " "), "Hi")
    assert body["system"] == "Be brief."
    assert body["messages"] == [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}]


def test_user_and_assistant_take_turns() -> None:
    assert turns("One", "Two", answer("Three"), answer("Four"), "Five") == [
        ("user", ["One", "Two"]),
        ("assistant", ["Three", "Four"]),
        ("user", ["Five"]),
    ]


def test_blank_texts_are_left_out() -> None:
    assert turns("One", " \n", answer(""), Message("user", (TextPart(""), TextPart("Two")))) == [
        ("user", ["One", "Two"])
    ]


def test_a_request_in_which_nothing_is_said_is_refused() -> None:
    with pytest.raises(ModelError, match="every message is empty") as raised:
        sent(Message("system", "Be brief."), " ")
    assert raised.value.kind == "invalid_request"


def test_the_results_of_tools_come_first() -> None:
    called = answer("Let me see.", ("a", "add", '{"x":1}'), ("b", "add", ""))
    assert turns("Hi", called, "Hurry!", result("b", "2"), result("a", " ")) == [
        ("user", ["Hi"]),
        (
            "assistant",
            [
                "Let me see.",
                {"type": "tool_use", "id": "a", "name": "add", "input": {"x": 1}},
                {"type": "tool_use", "id": "b", "name": "add", "input": {}},
            ],
        ),
        (
            "user",
            [
                {
                    "type": "tool_result",
                    "tool_use_id": "b",
                    "content": [{"type": "text", "text": "2"}],
                },
                {"type": "tool_result", "tool_use_id": "a"},
                "Hurry!",
            ],
        ),
    ]


@pytest.mark.parametrize(
    ("arguments", "given"),
    [
        ("{", {"arguments": "{"}),
        ("[1]", {"arguments": "[1]"}),
        ('{"a": NaN}', {"arguments": '{"a": NaN}'}),
        ('{"a": 1e999}', {"arguments": '{"a": 1e999}'}),
        ("null", {}),
        (" ", {}),
    ],
)
def test_arguments_that_are_no_object_are_sent_within_one(
    arguments: str, given: dict[str, object]
) -> None:
    [_, (_, [call])] = turns("Hi", answer("", ("a", "add", arguments)))
    assert call == {"type": "tool_use", "id": "a", "name": "add", "input": given}


def test_calls_of_other_providers_get_names_and_ids_that_claude_takes() -> None:
    said = turns(
        "Hi",
        answer("", ("call|1", "my.tool", "{}")),
        result("call|1", "One"),
        answer("", ("call|1", "", "{}")),
        result("call|1", "Two"),
    )
    calls = [block for _, blocks in said for block in _objects(blocks)]
    assert [each.get("id", each.get("tool_use_id")) for each in calls] == [
        "call_1",
        "call_1",
        "call_1_2",
        "call_1_2",
    ]
    assert [each["name"] for each in calls if "name" in each] == ["my_tool", "unnamed"]


def _objects(blocks: list[object]) -> list[dict[str, object]]:
    return [block for block in blocks if isinstance(block, dict)]


BLOCKS: list[dict[str, object]] = [
    {"type": "thinking", "thinking": "Hm.", "signature": "sealed=="},
    {"type": "redacted_thinking", "data": "secret=="},
    {"type": "text", "text": "\n\n"},
    {
        "type": "server_tool_use",
        "id": "srvtoolu_1",
        "name": "web_search",
        "input": {"query": "heat pumps"},
    },
    {
        "type": "web_search_tool_result",
        "tool_use_id": "srvtoolu_1",
        "content": [
            {
                "type": "web_search_result",
                "title": "Pumps",
                "url": "https://example.com",
                "encrypted_content": "sealed",
                "page_age": None,
            }
        ],
    },
    {"type": "text", "text": "Look.", "citations": None},
    {"type": "tool_use", "id": "toolu_1", "name": "add", "input": {"b": 1, "a": 2}},
]


def test_own_blocks_are_handed_back_as_they_were() -> None:
    own = answer("Look.", ("toolu_1", "add", "{}"), **ORIGIN._asdict(), provider_items=BLOCKS)
    body = sent("Hi", own, result("toolu_1", "3"))
    assert body["messages"][1]["content"] == [  # type: ignore[index]
        block for block in BLOCKS if block.get("text") != "\n\n"
    ]


def test_thinking_after_which_nothing_follows_is_left_out() -> None:
    own = answer("", **ORIGIN._asdict(), provider_items=[BLOCKS[5], BLOCKS[0], BLOCKS[1]])
    assert turns("Hi", own, "And?")[1] == ("assistant", ["Look."])


@pytest.mark.parametrize("foreign", ["provider", "server", "model"])
def test_blocks_of_others_are_left_out(foreign: str) -> None:
    origin = ORIGIN._asdict() | {foreign: "another"}
    own = answer("Look.", ("toolu_1", "add", '{"a":2}'), **origin, provider_items=BLOCKS)
    call = {"type": "tool_use", "id": "toolu_1", "name": "add", "input": {"a": 2}}
    assert turns("Hi", own, result("toolu_1", "3"))[1] == ("assistant", ["Look.", call])


def test_images_in_an_answer_of_another_provider_are_shown_with_what_the_user_says_next() -> None:
    drawn = Message(
        "assistant", (ReasoningPart("Hm."), TextPart("Here."), ImagePart(Inline(PNG), "image/png"))
    )
    assert turns("Draw!", drawn, "Nice.")[1:] == [
        ("assistant", ["Here."]),
        ("user", ["These are the images of the answer above.", _image(PNG), "Nice."]),
    ]


def test_what_was_said_in_sound_is_told_as_text() -> None:
    spoken = Message("assistant", (AudioPart(Inline(b"."), "audio/wav", "Good day."),))
    heard = Message("user", (AudioPart(Inline(b"."), "audio/wav", "Bye."), CitationPart("x")))
    assert turns("Hi", spoken, heard)[1:] == [("assistant", ["Good day."]), ("user", ["Bye."])]


def _image(data: bytes, kind: str = "image/png") -> dict[str, object]:
    encoded = base64.b64encode(data).decode()
    return {
        "type": "image",
        "source": {"type": "base64", "media_type": kind, "data": encoded},
    }


@pytest.mark.parametrize(
    ("part", "block"),
    [
        (
            ImagePart(Url("https://example.com/a.png")),
            {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
        ),
        (ImagePart(Inline(PNG)), _image(PNG)),
        (ImagePart(Inline(b"\xff\xd8\xff."), "image/png"), _image(b"\xff\xd8\xff.", "image/jpeg")),
        (ImagePart(Inline(b"RIFF1234WEBP"), None), _image(b"RIFF1234WEBP", "image/webp")),
        (ImagePart(Url("data:image/gif;base64,R0lGOA==")), _image(b"GIF8", "image/gif")),
        (FilePart(Inline(PNG), "image/png"), _image(PNG)),
        (
            FilePart(Url("https://example.com/a.pdf"), "application/pdf"),
            {"type": "document", "source": {"type": "url", "url": "https://example.com/a.pdf"}},
        ),
        (
            FilePart(Inline(b"%PDF-1"), name="a.pdf"),
            {
                "type": "document",
                "source": {
                    "type": "base64",
                    "media_type": "application/pdf",
                    "data": base64.b64encode(b"%PDF-1").decode(),
                },
                "title": "a.pdf",
            },
        ),
        (
            FilePart(Inline("Grüße".encode()), "text/csv"),
            {
                "type": "document",
                "source": {"type": "text", "media_type": "text/plain", "data": "Grüße"},
            },
        ),
    ],
)
def test_media_is_sent(part: Part, block: dict[str, object]) -> None:
    assert turns(Message("user", (TextPart("Look:"), part))) == [("user", ["Look:", block])]
    [_, _, (_, [given])] = turns("Hi", answer("", ("a", "add", "{}")), result("a", (part,)))
    assert given == {"type": "tool_result", "tool_use_id": "a", "content": [block]}


def test_a_result_that_is_an_error_says_so_where_it_is_text_only() -> None:
    image = ImagePart(Inline(PNG))
    for content, is_marked in (("No.", True), (" ", False), ((TextPart("No."), image), False)):
        failed = Message("tool", content, tool_call_id="a", is_error=True)
        [_, _, (_, given)] = turns("Hi", answer("", ("a", "add", "{}")), failed)
        assert ("'is_error': True" in str(given)) is is_marked


@pytest.mark.parametrize(
    ("part", "reason"),
    [
        (ImagePart(Inline(b"BM...."), "image/bmp"), "image/bmp. Claude takes JPEG, PNG, GIF"),
        (ImagePart(Inline(b"")), "it is of no known kind"),
        (ImagePart(Url("data:image/png;base64,a")), "holds no base64"),
        (FilePart(Inline(b"\xff\xfe"), "application/zip", "a.zip"), "'a.zip' .* application/zip"),
        (AudioPart(Inline(b"."), "audio/wav"), "Claude takes no sound"),
        (FilePart(Inline(b"."), "audio/wav"), "Claude takes no sound"),
        (FilePart(Url("https://example.com/a.mp4"), "video/mp4"), "Claude takes no video"),
        (ImagePart(Url("gs://bucket/a.png")), "by https:// only, not from gs://bucket/a.png"),
    ],
)
def test_media_that_cannot_be_read_is_refused(part: Part, reason: str) -> None:
    with pytest.raises(ModelError, match=reason) as raised:
        sent(Message("user", (part,)))
    assert raised.value.kind == "invalid_request"


def test_media_that_another_model_has_answered_is_left_out_if_claude_does_not_take_it() -> None:
    heard = Message("user", (TextPart("What is this?"), AudioPart(Inline(b"."), "audio/wav")))
    drawn = Message("assistant", (TextPart("A bell."), ImagePart(Inline(b"BM"), "image/bmp")))
    recording, image = (
        f"(Here was {each} that you cannot be shown.)" for each in ("a recording", "an image")
    )
    assert turns(heard, drawn, "And?") == [
        ("user", ["What is this?", recording]),
        ("assistant", ["A bell."]),
        (
            "user",
            ["These are the images of the answer above.", image, "And?"],
        ),
    ]
    lost = Message("user", (ImagePart(Blob("ab12", 5)),))
    with pytest.raises(ModelError, match=r"kept in the database \(ab12\) and was not loaded"):
        sent(lost, drawn, "And?")


def test_documents_are_cited_if_they_are_to_be() -> None:
    document = Message("user", (FilePart(Inline(b"Sums."), "text/plain"),))
    [(_, [block])] = turns(document, options=Options(citations=True))
    assert isinstance(block, dict)
    assert block["citations"] == {"enabled": True}


def test_tools_are_offered_beside_those_of_the_provider() -> None:
    search = {"type": "web_search_20250305", "name": "web_search"}
    body = sent("Hi", own={"tools": [search]}, tools=[TOOL])
    assert body["tools"] == [
        {"name": "add", "description": "Add numbers.", "input_schema": TOOL.parameters},
        search,
    ]


def test_a_tool_that_the_provider_defines_is_sent_as_it_defines_it() -> None:
    shell = {"type": "bash_20250124", "name": "bash"}
    body = sent("Hi", own={"tools": [shell]}, tools=[ToolSchema("bash", "Run it.", {})])
    assert body["tools"] == [shell]


@pytest.mark.parametrize(
    ("choice", "form"),
    [
        ("none", {"type": "none"}),
        ("auto", {"type": "auto"}),
        ("required", {"type": "any"}),
        ("add", {"type": "tool", "name": "add"}),
        ({"type": "any", "disable_parallel_tool_use": True},) * 2,
    ],
)
def test_a_tool_choice(choice: ToolChoice, form: dict[str, object]) -> None:
    assert sent("Hi", tools=[TOOL], tool_choice=choice)["tool_choice"] == form
    assert "tool_choice" not in sent("Hi", tool_choice=choice)


@pytest.mark.parametrize("choice", ["required", "add"])
@pytest.mark.parametrize(
    "thinking", [{"type": "enabled", "budget_tokens": 1024}, {"type": "adaptive"}]
)
def test_a_model_that_thinks_is_never_made_to_call_a_tool(
    choice: str, thinking: dict[str, object], caplog: pytest.LogCaptureFixture
) -> None:
    body = sent("Hi", own={"thinking": thinking}, tools=[TOOL], tool_choice=choice)
    assert body["tool_choice"] == {"type": "auto"}
    assert "claude-test thinks before it answers" in caplog.text
    body = sent("Hi", own={"thinking": {"type": "disabled"}}, tools=[TOOL], tool_choice="required")
    assert body["tool_choice"] == {"type": "any"}


def test_parallel_calls_can_be_ruled_out() -> None:
    own: dict[str, object] = {"tool_choice": {"disable_parallel_tool_use": True}}
    body = sent("Hi", own=own, tools=[TOOL])
    assert body["tool_choice"] == {"type": "auto", "disable_parallel_tool_use": True}
    body = sent("Hi", own=own, tools=[TOOL], tool_choice="required")
    assert body["tool_choice"] == {"type": "any", "disable_parallel_tool_use": True}
    assert sent("Hi", own=own, tools=[TOOL], tool_choice="none")["tool_choice"] == {"type": "none"}


@pytest.mark.parametrize(
    ("for_an_hour", "marker"),
    [(False, {"type": "ephemeral"}), (True, {"type": "ephemeral", "ttl": "1h"})],
)
def test_what_is_to_be_cached_is_marked(for_an_hour: bool, marker: dict[str, object]) -> None:
    other = ToolSchema("other", "", {"type": "object"})
    options = Options(cache_system=True, cache_tools=True, for_an_hour=for_an_hour)
    body = sent(Message("system", "Be."), "Hi", tools=[TOOL, other], options=options)
    assert body["system"] == [{"type": "text", "text": "Be.", "cache_control": marker}]
    assert body["tools"] == [
        {"name": "add", "description": "Add numbers.", "input_schema": TOOL.parameters},
        {"name": "other", "input_schema": {"type": "object"}, "cache_control": marker},
    ]


def test_a_form_of_the_answer_is_asked_for() -> None:
    form = OutputSchema(
        "City",
        {
            "type": "object",
            "properties": {"name": {"type": "string"}},
            "additionalProperties": False,
        },
    )
    body = sent("Hi", own={"output_config": {"effort": "low"}}, output_schema=form)
    assert body["output_config"] == {
        "effort": "low",
        "format": {"type": "json_schema", "schema": form.schema},
    }
    with pytest.raises(ModelError, match=r"sets output_config\.format"):
        sent("Hi", own={"output_config": {"format": {}}}, output_schema=form)


def test_what_kern_sets_cannot_be_set_by_a_call() -> None:
    given: list[dict[str, object]] = [{"messages": []}, {"stream": True}]
    for settings in given:
        with pytest.raises(ModelError, match="which kern sets itself"):
            sent("Hi", settings=settings)
    with pytest.raises(ModelError, match="sets system"):
        sent(Message("system", "Be."), "Hi", settings={"system": "Not."})
    with pytest.raises(ModelError, match="the tool add"):
        sent("Hi", tools=[TOOL], settings={"tools": [{"name": "add", "input_schema": {}}]})


def test_the_same_messages_give_the_same_bytes_however_many_follow() -> None:
    memo: dict[str, object] = {}
    history: list[Message | str] = [
        "Hi",
        answer("", ("a", "add", '{"x": 1}')),
        result("a", "2"),
        answer("Two."),
    ]
    bodies = [sent(*history[:count], memo=memo) for count in (1, 3, 4)]
    assert bodies == [sent(*history[:count]) for count in (1, 3, 4)]
    assert sent("Bye", memo=memo) == sent("Bye")


def _params(
    given: dict[str, object], headers: dict[str, str] | None = None, betas: Sequence[str] = ()
) -> tuple[object, object]:
    params = joined({"max_tokens": 5, "stop_sequences": ["a"]}, given, headers or {}, betas)
    return params.body, params.headers


def test_parameters_are_joined() -> None:
    body, headers = _params(
        {
            "stop_sequences": ["b"],
            "betas": ["one"],
            "extra_body": {"odd": 1},
            "extra_headers": {"Anthropic-Beta": "two, one"},
        },
        {"x-team": "blue"},
        ["three"],
    )
    assert body == {"max_tokens": 5, "stop_sequences": ["a", "b"], "odd": 1}
    assert headers == {"x-team": "blue", "anthropic-beta": "three,one,two"}


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"messages": []}, "kern sends the conversation"),
        ({"extra_body": {"system": "x"}}, "give it to the agent as instructions"),
        ({"max_tokens": 6}, "max_tokens"),
        ({"extra_headers": ["x"]}, "must be a dict"),
    ],
)
def test_parameters_that_cannot_be_joined_are_refused(
    given: dict[str, object], reason: str
) -> None:
    with pytest.raises(ConfigurationError, match=reason):
        _params(given)


def test_mcp_servers_are_offered_with_their_tools() -> None:
    server = {"type": "url", "name": "docs", "url": "https://example.com/mcp"}
    body, headers = _params({"mcp_servers": [server]})
    assert body == {
        "max_tokens": 5,
        "stop_sequences": ["a"],
        "mcp_servers": [server],
        "tools": [{"type": "mcp_toolset", "mcp_server_name": "docs"}],
    }
    assert headers == {"anthropic-beta": "mcp-client-2025-11-20"}
    body, headers = _params({"mcp_servers": [server]}, betas=["mcp-client-2025-04-04"])
    assert body == {"max_tokens": 5, "stop_sequences": ["a"], "mcp_servers": [server]}
    assert headers == {"anthropic-beta": "mcp-client-2025-04-04"}
