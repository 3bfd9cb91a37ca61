"""The parts of a message, and that a plain text is stored as it always was."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import parts, texts

from kern.errors import InvalidInputError
from kern.run.codec import encode
from kern.run.content import (
    Blob,
    CitationPart,
    FilePart,
    ImagePart,
    Inline,
    Part,
    ReasoningPart,
    TextPart,
    Url,
    blob_of,
    data_in,
)
from kern.run.input import RunInput
from kern.run.message import Message


def test_a_plain_text_is_stored_byte_for_byte_as_it_always_was() -> None:
    said = RunInput.of([Message("system", "Be brief."), "H\u00e9 \x00", Message("user", "")])
    assert said.to_json() == (
        '{"messages":[{"role":"system","content":"Be brief."},'
        '{"role":"user","content":"H\\u00e9 \\u0000"},{"role":"user","content":""}]}'
    )
    assert encode(Message("assistant").to_dict(), "message") == '{"role":"assistant"}'


@given(st.lists(parts).map(tuple))
def test_parts_come_back_equal_from_json_and_their_media_by_reference(
    content: tuple[Part, ...],
) -> None:
    found: dict[str, bytes] = {}
    message = Message("user", content)
    read = Message.from_dict(json.loads(encode(message.to_dict(), "message")))
    assert read == message.without_media(found)
    assert all(blob_of(data).hash == hash for hash, data in found.items())


def test_a_message_that_is_an_error_comes_back_as_one() -> None:
    message = Message("tool", "No.", tool_call_id="call_1", is_error=True)
    assert Message.from_dict(message.to_dict()) == message
    assert "is_error" not in Message("tool", "Yes.", tool_call_id="call_1").to_dict()


@given(texts)
def test_a_text_comes_back_as_a_text(text: str) -> None:
    assert (
        Message.from_dict(json.loads(json.dumps(Message("user", text).to_dict()))).content == text
    )


HASH = "a8100ae6aa1940d0b663bb31cd466142ebbdbd5187131b92d93818987832eb89"


def test_media_that_journals_of_earlier_versions_hold_is_read() -> None:
    given = {"type": "image", "source": {"type": "inline", "data": "/w=="}}
    [message] = RunInput.of({"role": "user", "content": [given]}).messages
    assert message.content == (ImagePart(Inline(b"\xff")),)


@pytest.mark.parametrize(
    ("url", "data", "kind"),
    [
        ("data:image/png;base64,/w==", b"\xff", "image/png"),
        ("DATA:;BASE64,/w==", b"\xff", None),
        ("data:text/plain,a%20b", b"a b", "text/plain"),
        ("data:image/png;base64,/w", b"/w", "image/png"),
        ("https://example.com/a.png", None, None),
    ],
)
def test_what_an_url_holds_itself_is_media_as_bytes_are(
    url: str, data: bytes | None, kind: str | None
) -> None:
    part = ImagePart(Url(url))
    assert data_in(part) == data
    expected = part if data is None else ImagePart(blob_of(data), kind)
    assert Message("user", (part,)).without_media({}).content == (expected,)


def test_parts_are_stored_as_objects_with_a_type() -> None:
    message = Message("user", (TextPart("What is it?"), ImagePart(Inline(b"\xff"), "image/png")))
    assert "xff" not in repr(message)
    assert message.to_dict() == {
        "role": "user",
        "content": [
            {"type": "text", "text": "What is it?"},
            {
                "type": "image",
                "source": {"type": "blob", "hash": HASH, "size": 1},
                "mime_type": "image/png",
            },
        ],
    }


def test_the_text_of_a_message_is_that_of_its_text_parts() -> None:
    parts = (ReasoningPart("Hm."), TextPart("Par"), TextPart("is"), CitationPart("http://x"))
    assert Message("assistant", parts).text == "Paris"
    assert Message("assistant", "Paris").text == "Paris"
    whole, file = (FilePart(Blob("a", 9, shown), "text/plain") for shown in ("Berl…", None))
    assert Message("tool", (whole, file)).text == "Berl…"
    assert Message("assistant").text == ""


@pytest.mark.parametrize(
    "part",
    [
        7,
        {},
        {"type": "smell"},
        {"type": "text"},
        {"type": "text", "text": 7},
        {"type": "image"},
        {"type": "image", "source": {"type": "url", "url": 7}},
        {"type": "image", "source": {"type": "inline", "data": "no base64"}},
        {"type": "image", "source": {"type": "url", "url": "http://x"}, "detail": 7},
        {"type": "image", "source": {"type": "blob", "hash": "abc"}},
        {"type": "citation", "url": "http://x", "start": "0"},
        {"type": "citation", "url": "http://x", "start": True},
    ],
    ids=repr,
)
def test_a_part_of_another_form_is_refused(part: object) -> None:
    with pytest.raises(InvalidInputError, match=r"part of a message|A part of the type"):
        RunInput.of({"role": "user", "content": [part]})


def test_what_is_no_part_is_no_content() -> None:
    with pytest.raises(InvalidInputError, match="a text or a tuple of parts, not tuple"):
        Message("user", ("Hi",))  # type: ignore[arg-type] # what an untyped caller may do


def test_an_image_alone_says_something_and_an_empty_text_part_does_not() -> None:
    image = ImagePart(Url("http://x/a.png"))
    assert RunInput.of(Message("user", (image,))).messages[0].content == (image,)
    with pytest.raises(InvalidInputError, match="The input is empty"):
        RunInput.of(Message("user", (TextPart(" "),)))
