"""Every parameter of a request is read, or refused by its name."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kern.run.content import FilePart, ImagePart, ReasoningPart, TextPart, Url
from kern.run.message import Message
from kern.run.tool import ToolCall
from kern.server.chat.request import read_chat
from kern.server.problems import RequestError
from kern.server.responses.body import Body
from kern.server.responses.ids import ResponseId, session_of
from kern.server.responses.items import read_input
from kern.server.responses.request import json_object, read_request

TOOL = {"type": "function", "name": "get", "parameters": {"type": "object", "properties": {}}}

CALL = {"type": "function_call", "call_id": "call_1", "name": "get", "arguments": "{}"}

OUTPUT = {"type": "function_call_output", "call_id": "call_1", "output": "5"}


def refusal(given: dict[str, Any]) -> RequestError:
    with pytest.raises(RequestError) as refused:
        read_request({"model": "agent", "input": "Hi"} | given)
    assert refused.value.status == 400
    return refused.value


@pytest.mark.parametrize(
    ("given", "param", "code"),
    [
        ({"tempo": 1}, "tempo", "unknown_parameter"),
        ({"model": None}, "model", "invalid_type"),
        ({"model": 5}, "model", "invalid_type"),
        ({"input": 5}, "input", "invalid_type"),
        ({"input": ["Hi"]}, "input[0]", "invalid_type"),
        ({"stream": "yes"}, "stream", "invalid_type"),
        ({"background": 1}, "background", "invalid_type"),
        ({"background": True, "store": False}, "store", "invalid_value"),
        ({"temperature": 3}, "temperature", "invalid_type"),
        ({"top_p": -1}, "top_p", "invalid_type"),
        ({"max_output_tokens": 0}, "max_output_tokens", "invalid_type"),
        ({"max_tool_calls": "many"}, "max_tool_calls", "invalid_type"),
        ({"metadata": {"a": 1}}, "metadata[...]", "invalid_type"),
        ({"metadata": {"a": "x" * 513}}, "metadata.a", "invalid_value"),
        ({"metadata": {str(i): "" for i in range(17)}}, "metadata", "invalid_value"),
        ({"metadata": {"kern.response": "x"}}, "metadata", "invalid_value"),
        ({"prompt": {"id": "pmpt_1"}}, "prompt", "unsupported_parameter"),
        ({"truncation": "auto"}, "truncation", "unsupported_parameter"),
        ({"service_tier": "flex"}, "service_tier", "unsupported_parameter"),
        ({"top_logprobs": 2}, "top_logprobs", "unsupported_parameter"),
        ({"prompt_cache_key": "k"}, "prompt_cache_key", "unsupported_parameter"),
        ({"context_management": [{}]}, "context_management", "unsupported_parameter"),
        ({"include": ["message.output_text.logprobs"]}, "include[0]", "unsupported_value"),
        ({"reasoning": {"effort": "enormous"}}, "reasoning.effort", "invalid_type"),
        ({"reasoning": {"summary": "long"}}, "reasoning.summary", "invalid_type"),
        ({"reasoning": {"mode": "pro"}}, "reasoning.mode", "unknown_parameter"),
        ({"text": {"verbosity": "high"}}, "text.verbosity", "invalid_type"),
        ({"text": {"format": {"type": "grammar"}}}, "text.format.type", "invalid_type"),
        (
            {"text": {"format": {"type": "json_schema", "name": "a", "schema": {"type": 5}}}},
            "text.format.schema",
            "invalid_value",
        ),
        ({"text": {"format": {"type": "json_schema", "name": "a"}}}, "text.format.schema", None),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type", "unsupported_value"),
        ({"tools": [{"type": "mcp", "server_label": "x"}]}, "tools[0].type", "unsupported_value"),
        ({"tools": [{**TOOL, "name": "no good"}]}, "tools[0].name", "invalid_type"),
        ({"tools": [{"type": "function"}]}, "tools[0].name", "missing_required_parameter"),
        ({"tools": [{**TOOL, "defer_loading": True}]}, "tools[0].defer_loading", None),
        ({"tools": [TOOL, TOOL]}, "tools[1].name", "invalid_value"),
        ({"tool_choice": "maybe"}, "tool_choice", "unsupported_value"),
        ({"tool_choice": {"type": "function", "name": "get"}}, "tool_choice", "invalid_value"),
        ({"tool_choice": {"type": "web_search"}}, "tool_choice", "unsupported_value"),
        (
            {"tool_choice": {"type": "mcp", "server_label": "x", "name": "y"}},
            "tool_choice.server_label",
            "invalid_value",
        ),
        (
            {"previous_response_id": "resp_1", "conversation": "conv_1"},
            "previous_response_id",
            "mutually_exclusive_parameters",
        ),
        ({"webhook": "https://example.com"}, "webhook", "invalid_value"),
        ({"stream_options": {}}, "stream_options", "invalid_value"),
        (
            {"stream": True, "stream_options": {"include_obfuscation": True}},
            "stream_options.include_obfuscation",
            "unsupported_parameter",
        ),
        ({"conversation": {"name": "x"}}, "conversation.name", "unknown_parameter"),
        ({"safety_identifier": "x" * 65}, "safety_identifier", "invalid_type"),
    ],
)
def test_what_cannot_be_used_is_refused_by_its_name(
    given: dict[str, Any], param: str, code: str | None
) -> None:
    refused = refusal(given)
    assert (refused.param, code or refused.code) == (param, refused.code)
    assert refused.detail.endswith(".")


def test_a_missing_model_is_named() -> None:
    with pytest.raises(RequestError) as refused:
        read_request({"input": "Hi"})
    assert (refused.value.param, refused.value.code) == ("model", "missing_required_parameter")


def test_values_that_ask_for_nothing_are_no_error() -> None:
    nothing: dict[str, Any] = {
        "prompt": None,
        "truncation": "disabled",
        "service_tier": "auto",
        "top_logprobs": 0,
        "tools": [],
        "tool_choice": None,
        "metadata": None,
        "include": None,
        "text": {"format": {"type": "text"}},
        "reasoning": {"effort": None},
        "store": True,
    }
    asked = read_request({"model": "agent", "input": "Hi"} | nothing)
    assert asked.output_schema is None
    assert asked.overrides.tools == ()


def test_parameters_become_what_the_run_has_otherwise() -> None:
    asked = read_request(
        {
            "model": "agent",
            "input": "Hi",
            "instructions": "Rhyme.",
            "tools": [TOOL | {"strict": True}],
            "tool_choice": {"type": "function", "name": "get"},
            "max_tool_calls": 3,
            "max_output_tokens": 50,
            "reasoning": {"effort": "low"},
            "temperature": 1,
            "top_p": 0.5,
        }
    )
    own = asked.overrides
    assert (own.instructions, own.tool_choice) == ("Rhyme.", "get")
    assert (own.tool_call_limit, own.max_output_tokens, own.reasoning_effort) == (3, 50, "low")
    assert (own.temperature, own.top_p) == (1, 0.5)
    assert [(each.name, each.strict) for each in own.tools] == [("get", True)]
    assert asked.echo["instructions"] == "Rhyme."


def test_an_own_tool_of_the_agent_can_be_chosen_by_its_label() -> None:
    choice = {"type": "mcp", "server_label": "agent", "name": "look_up"}
    asked = read_request({"model": "agent", "input": "Hi", "tool_choice": choice})
    assert asked.overrides.tool_choice == "look_up"


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"x"', b"\xff", b"[" * 5000 + b"]" * 5000])
def test_a_body_that_is_no_json_object_is_refused(body: bytes) -> None:
    with pytest.raises(RequestError) as refused:
        json_object(body)
    assert (refused.value.status, refused.value.code) == (400, "invalid_json")


def test_a_lone_surrogate_in_a_body_is_read() -> None:
    assert json_object(b'{"input": "\\ud800"}') == {"input": "\ud800"}
    read_request({"model": "agent", "input": "\ud800"})
    assert refusal({"stream": "\ud800"}).code == "invalid_type"


def test_messages_and_their_parts_are_read() -> None:
    said = read_input(
        [
            {"role": "developer", "content": "Be kind."},
            {
                "type": "message",
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "What is this?"},
                    {
                        "type": "input_image",
                        "image_url": "https://a.example/b.png",
                        "detail": "low",
                    },
                    {"type": "input_file", "file_url": "https://a.example/c.pdf"},
                ],
            },
            {
                "type": "message",
                "id": "msg_1",
                "status": "completed",
                "role": "assistant",
                "content": [{"type": "output_text", "text": "A cat.", "annotations": []}],
            },
            {"role": "user", "content": "Sure?"},
        ]
    )
    system, user, answer, more = said.messages
    assert (system.role, system.text) == ("system", "Be kind.")
    assert user.parts == (
        TextPart("What is this?"),
        ImagePart(Url("https://a.example/b.png"), detail="low"),
        FilePart(Url("https://a.example/c.pdf")),
    )
    assert (answer.role, answer.text, more.text) == ("assistant", "A cat.", "Sure?")


def test_calls_of_one_answer_are_one_message_and_their_outputs_follow_it() -> None:
    second = CALL | {"call_id": "call_2"}
    said = read_input(
        [
            {"role": "user", "content": "Go."},
            {
                "type": "reasoning",
                "id": "rs_1",
                "summary": [{"type": "summary_text", "text": "Hm"}],
            },
            CALL,
            second,
            {"role": "user", "content": "And?"},
            OUTPUT | {"call_id": "call_2", "output": [{"type": "input_text", "text": "6"}]},
            OUTPUT,
        ]
    )
    user, calls, five, six, more = said.messages
    assert [each.id for each in calls.tool_calls] == ["call_1", "call_2"]
    assert calls.parts == (ReasoningPart("Hm"),)
    assert [(each.role, each.tool_call_id, each.text) for each in (five, six)] == [
        ("tool", "call_1", "5"),
        ("tool", "call_2", "6"),
    ]
    assert (user.text, more.text, said.answers) == ("Go.", "And?", [])


def test_calls_of_two_answers_are_two_messages() -> None:
    second = CALL | {"call_id": "call_2"}
    said = read_input([CALL, OUTPUT, second, OUTPUT | {"call_id": "call_2"}])
    assert [each.role for each in said.messages] == ["assistant", "tool", "assistant", "tool"]


def test_outputs_of_calls_before_the_input_come_first() -> None:
    said = read_input([{"role": "user", "content": "Well?"}, OUTPUT])
    assert [each.role for each in said.messages] == ["tool", "user"]
    assert said.answers == ["call_1"]


def test_a_call_of_the_agent_in_a_history_is_read_with_its_result() -> None:
    own = {"type": "mcp_call", "id": "mcp_1", "server_label": "a", "name": "x", "arguments": "{}"}
    failed = {"type": "mcp_tool_execution_error", "content": [{"type": "text", "text": "No."}]}
    said = read_input([own | {"output": "yes"}, own | {"id": "mcp_2", "error": failed}])
    assert said.messages == [
        Message(
            "assistant", tool_calls=[ToolCall("mcp_1", "x", "{}"), ToolCall("mcp_2", "x", "{}")]
        ),
        Message("tool", "yes", tool_call_id="mcp_1"),
        Message("tool", "No.", tool_call_id="mcp_2", is_error=True),
    ]


def test_what_says_nothing_is_left_out() -> None:
    voided = {"type": "message", "role": "assistant", "status": "incomplete", "content": []}
    listed = {"type": "mcp_list_tools", "id": "mcpl_1", "server_label": "a", "tools": []}
    said = read_input([voided, listed, {"role": "user", "content": "Hi"}])
    assert [each.text for each in said.messages] == ["Hi"]


@pytest.mark.parametrize(
    ("item", "param"),
    [
        ({}, "input[0].type"),
        ({"type": "web_search_call", "id": "ws_1"}, "input[0].type"),
        ({"role": "robot", "content": "Hi"}, "input[0].role"),
        ({"role": "user", "content": 5}, "input[0].content"),
        ({"role": "user", "content": ["Hi"]}, "input[0].content[0]"),
        ({"role": "user", "content": [{"type": "poem"}]}, "input[0].content[0].type"),
        (
            {"role": "user", "content": [{"type": "input_image", "file_id": "file_1"}]},
            "input[0].content[0].file_id",
        ),
        (
            {"role": "user", "content": [{"type": "input_file", "file_id": "file_1"}]},
            "input[0].content[0].file_id",
        ),
        (
            {"role": "user", "content": [{"type": "input_image", "image_url": "file:///etc/x"}]},
            "input[0].content[0].image_url",
        ),
        ({"role": "user", "content": [{"type": "input_image"}]}, "input[0].content[0]"),
        (CALL, "input[0]"),
        ({"type": "function_call", "call_id": "c"}, "input[0].name"),
        ({"type": "reasoning", "summary": ["Hm"]}, "input[0].summary"),
        ({"type": "reasoning", "content": 5}, "input[0].content"),
        ({"type": "function_call_output", "output": "5"}, "input[0].call_id"),
        ({"type": "mcp_approval_response", "approve": True}, "input[0].approval_request_id"),
        ({"type": "mcp_approval_response", "approval_request_id": "m"}, "input[0].approve"),
    ],
)
def test_an_item_that_cannot_be_used_is_refused_by_its_place(
    item: dict[str, Any], param: str
) -> None:
    with pytest.raises(RequestError) as refused:
        read_input([item])
    assert (refused.value.status, refused.value.param) == (400, param)


def test_ids_name_a_run_and_a_stretch_of_it() -> None:
    for run_id, stretch in [("a", 0), ("a", 3), ("a.1", 0), ("a.1", 2), ("a.b", 0), ("~x/y", 1)]:
        response = ResponseId(run_id, stretch)
        assert ResponseId.parse(str(response)) == response
    for wrong in ("", "a", "resp_", "chatcmpl_a", "resp_" + "x" * 300):
        with pytest.raises(RequestError) as refused:
            ResponseId.parse(wrong)
        assert refused.value.status == 404
    assert session_of("conv_a") == "a"


def test_a_request_has_a_fingerprint_whatever_the_order_of_its_members() -> None:
    first = json.loads('{"model": "a", "input": "Hi", "metadata": {"x": "1", "y": "2"}}')
    other = json.loads('{"metadata": {"y": "2", "x": "1"}, "input": "Hi", "model": "a"}')
    assert read_request(first).fingerprint == read_request(other).fingerprint
    assert read_request(first).fingerprint != read_request(first | {"input": "Ho"}).fingerprint


WORDS = st.sampled_from(
    [
        *("type", "role", "content", "text", "id", "call_id", "name", "arguments", "output"),
        *("error", "url", "summary", "user", "assistant", "message", "function_call"),
        *("function_call_output", "mcp_call", "reasoning", "mcp_approval_response", "input_text"),
        *("input_image", "refusal", "output_text", "image_url", "approve", "function", "mcp"),
        *("approval_request_id", "tool", "json_schema", "schema", "tool_calls", "tool_call_id"),
        *("\ud800", "", "auto"),
    ]
)

JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=5),
    max_leaves=15,
)

ITEMS = st.lists(
    st.fixed_dictionaries({}, optional={"type": WORDS, "role": WORDS, "content": JSON}).flatmap(
        lambda known: st.dictionaries(WORDS, JSON, max_size=6).map(lambda more: more | known)
    ),
    max_size=4,
)


@settings(max_examples=25, deadline=None)
@given(ITEMS, st.dictionaries(st.sampled_from(Body.__struct_fields__), JSON, max_size=4))
def test_whatever_is_sent_is_read_or_refused(items: Any, more: Any) -> None:
    for read in (
        lambda: read_input(items),
        lambda: read_request({"model": "a", "input": items} | more),
        lambda: read_chat({"model": "a", "messages": items}),
        lambda: read_chat({"model": "a", "messages": [{"role": "user", "content": "x"}]} | more),
    ):
        try:
            read()
        except RequestError as refused:
            told = refused
        else:
            continue
        assert told.status == 400
