"""Whatever a server sends, an answer of Claude is a message or a ModelError."""

import json
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import texts

from kern.errors import ModelError
from kern.models.anthropic.answer import is_paused, read_answer
from kern.models.anthropic.caching import Options
from kern.models.anthropic.pieces import Pieces
from kern.models.anthropic.wire import continued, request_body
from kern.models.base import ModelRequest
from kern.models.origin import Origin
from kern.models.values import Json
from kern.run.message import Message

ORIGIN = Origin("Anthropic", "api.anthropic.com", "claude-test")

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)


def one_of_them(*usual: object) -> st.SearchStrategy[object]:
    return st.sampled_from(usual) | VALUES


BLOCKS = st.fixed_dictionaries(
    {"type": one_of_them("text", "thinking", "redacted_thinking", "tool_use", "server_tool_use")},
    optional={
        "text": one_of_them("Hello.", ""),
        "thinking": one_of_them("Hm."),
        "signature": one_of_them("sealed=="),
        "citations": one_of_them([{"url": "https://example.com"}], [{}]),
        "id": one_of_them("toolu_1"),
        "name": one_of_them("add"),
        "input": one_of_them({"a": 1}, "{", "1"),
        "caller": one_of_them({"type": "direct"}),
    },
)
MESSAGES = st.fixed_dictionaries(
    {"content": st.lists(BLOCKS, max_size=4) | VALUES},
    optional={
        "stop_reason": one_of_them("end_turn", "tool_use", "pause_turn", "refusal"),
        "stop_details": one_of_them({"explanation": "No."}),
        "usage": one_of_them({"input_tokens": 5, "output_tokens": None}),
        "container": one_of_them({"id": "container_1"}),
        "model": VALUES,
        "id": VALUES,
        "error": one_of_them({"type": "overloaded_error"}),
    },
)
DELTAS = st.fixed_dictionaries(
    {
        "type": one_of_them(
            "text_delta", "thinking_delta", "signature_delta", "input_json_delta", "citations_delta"
        )
    },
    optional={
        name: one_of_them("x", '{"a":1}')
        for name in ("text", "thinking", "signature", "partial_json", "citation", "stop_reason")
    },
)
EVENTS = st.fixed_dictionaries(
    {
        "type": one_of_them(
            "message_start",
            "content_block_start",
            "content_block_delta",
            "message_delta",
            "message_stop",
        )
    },
    optional={
        "index": one_of_them(0, 1),
        "message": MESSAGES,
        "content_block": BLOCKS,
        "delta": DELTAS | VALUES,
        "usage": VALUES,
    },
)


def check(payload: object) -> None:
    """Check that an answer is one that can be stored, sent back and gone on with, or an error."""
    if is_paused(payload):
        continued({"messages": b"[]"}, [payload])
    with suppress(ModelError):
        answer = read_answer([payload], ORIGIN).message
        stored = Message.from_dict(json.loads(json.dumps(answer.to_dict())))
        asked = ModelRequest([Message("user", "Hi"), stored, Message("user", "And?")])
        request_body(asked, ORIGIN, {}, Options())


EXAMPLES = pytest.mark.parametrize(
    "examples", [30, pytest.param(1000, marks=[pytest.mark.nightly, pytest.mark.timeout(300)])]
)


@EXAMPLES
def test_a_whole_answer(examples: int) -> None:
    settings(max_examples=examples)(given(MESSAGES | VALUES)(check))()


@EXAMPLES
def test_a_streamed_answer(examples: int) -> None:
    @settings(max_examples=examples)
    @given(st.lists(EVENTS, max_size=8))
    def read(events: list[Json]) -> None:
        pieces = Pieces("claude-test")
        with suppress(ModelError):
            for event in events:
                pieces.read(event)
        check(pieces.message)

    read()
