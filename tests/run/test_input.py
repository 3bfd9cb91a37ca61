"""What a caller can give to a run, and what is refused with a word of advice."""

from dataclasses import dataclass
from datetime import date

import pytest
from hypothesis import given
from pydantic import BaseModel
from strategies import texts

from kern.errors import InvalidInputError
from kern.run.content import AudioPart, FilePart, ImagePart, TextPart, Url
from kern.run.input import RunInput
from kern.run.message import Message


@pytest.mark.parametrize(
    "given",
    [
        "Hi",
        Message("user", "Hi"),
        {"role": "user", "content": "Hi"},
        ["Hi"],
        ("Hi",),
        [Message("user", "Hi")],
        [{"role": "user", "content": "Hi"}],
    ],
    ids=repr,
)
def test_a_text_a_message_and_a_list_say_the_same(given: object) -> None:
    assert RunInput.of(given).messages == (Message("user", "Hi"),)


def test_a_conversation_keeps_its_order_and_its_roles() -> None:
    said = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi"},
        Message("assistant", "Hello."),
        "And now?",
    ]
    assert [(each.role, each.content) for each in RunInput.of(said).messages] == [
        ("system", "Be brief."),
        ("user", "Hi"),
        ("assistant", "Hello."),
        ("user", "And now?"),
    ]


class Order(BaseModel):
    """What a caller has as an instance."""

    item: str
    due: date


@dataclass
class Parcel:
    """The same without pydantic."""

    weight: float


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"item": "ä", "count": 2}, '{"item":"ä","count":2}'),
        (Order(item="tea", due=date(2026, 3, 1)), '{"item":"tea","due":"2026-03-01"}'),
        (Parcel(1.5), '{"weight":1.5}'),
        ({"content": "no message"}, '{"content":"no message"}'),
        ({"order": Order(item="tea", due=date(2026, 3, 1))}, None),
    ],
    ids=repr,
)
def test_values_are_told_as_json(values: object, text: str | None) -> None:
    expected = text or '{"order":{"item":"tea","due":"2026-03-01"}}'
    assert RunInput.of(values).messages == (Message("user", expected),)
    assert RunInput.of([values, "Hi"]).messages[1] == Message("user", "Hi")


def test_values_without_a_json_form_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="The input, dict, has no JSON form"):
        RunInput.of({"file": object()})


def test_what_says_no_role_has_the_one_that_is_asked_for() -> None:
    messages = RunInput.of(["Hi", Message("user", "Ho"), {"a": 1}], role="system").messages
    assert [each.role for each in messages] == ["system", "user", "system"]


IMAGE = ImagePart(Url("https://example.com/a.png"))
PARTS = [
    ({"type": "text", "text": "Hi"}, TextPart("Hi")),
    ({"type": "input_text", "text": "Hi"}, TextPart("Hi")),
    ("Hi", TextPart("Hi")),
    ({"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}, IMAGE),
    ({"type": "image_url", "image_url": "https://example.com/a.png"}, IMAGE),
    ({"type": "input_image", "image_url": "https://example.com/a.png"}, IMAGE),
    (
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA==", "detail": "low"}},
        ImagePart(Url("data:image/png;base64,AA=="), detail="low"),
    ),
    (
        {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}},
        AudioPart(Url("data:audio/wav;base64,AA==")),
    ),
    (
        {
            "type": "file",
            "file": {"file_data": "data:application/pdf;base64,AA==", "filename": "a"},
        },
        FilePart(Url("data:application/pdf;base64,AA=="), name="a"),
    ),
    (
        {"type": "input_file", "file_url": "https://example.com/a.pdf"},
        FilePart(Url("https://example.com/a.pdf")),
    ),
    ({"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}}, IMAGE),
]


@pytest.mark.parametrize(("given", "part"), PARTS, ids=repr)
def test_parts_in_openais_form_are_kerns_own(given: object, part: object) -> None:
    said = {"role": "user", "content": [{"type": "text", "text": "What is it?"}, given]}
    assert RunInput.of(said).messages[0].parts == (TextPart("What is it?"), part)


def test_a_list_of_parts_is_one_message() -> None:
    parts = [given for given, _ in PARTS if isinstance(given, dict)]
    (message,) = RunInput.of(parts).messages
    assert message.role == "user"
    assert len(message.parts) == len(parts)


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url"},
        {"type": "image_url", "image_url": {"url": 7}},
        {"type": "input_audio", "input_audio": {"data": "AA=="}},
        {"type": "input_file", "file_id": "file-1"},
        {"type": "hologram"},
        {"type": "text"},
        7,
        None,
    ],
    ids=repr,
)
def test_a_part_that_cannot_be_used_is_refused(part: object) -> None:
    with pytest.raises(InvalidInputError, match="part of a message"):
        RunInput.of({"role": "user", "content": [part]})


@given(texts.filter(str.strip))
def test_an_input_comes_back_equal_from_json(text: str) -> None:
    found = RunInput.of(text)
    assert found.to_json().isascii()
    assert RunInput.from_json(found.to_json()) == found


@pytest.mark.parametrize(
    "nothing",
    ["", "  \n\t", [], (), [""], ["", " "], Message("user"), {"role": "user", "content": ""}],
    ids=repr,
)
def test_an_input_that_says_nothing_is_refused(nothing: object) -> None:
    with pytest.raises(InvalidInputError) as raised:
        RunInput.of(nothing)
    assert str(raised.value) == "The input is empty. Pass a text or a list of messages."


@pytest.mark.parametrize(
    ("odd", "kind"),
    [
        (None, "NoneType"),
        (7, "int"),
        (b"bytes", "bytes"),
        ({"role": "user"}, "dict"),
        ({"role": "user", "content": 7}, "dict"),
        ({}, "dict"),
        (Order, "ModelMetaclass"),
        (["Hi", 7], "int"),
        ([["Hi"]], "list"),
        (..., "ellipsis"),
    ],
    ids=repr,
)
def test_an_input_that_is_no_text_is_refused_by_its_kind(odd: object, kind: str) -> None:
    with pytest.raises(InvalidInputError, match=f"^The input holds {kind}. Pass a text"):
        RunInput.of(odd)


def test_the_developer_of_openai_is_the_system() -> None:
    (message,) = RunInput.of([{"role": "developer", "content": "Be brief."}]).messages
    assert message == Message("system", "Be brief.")


@pytest.mark.parametrize("role", ["stranger", None, ["user"]])
def test_an_unknown_role_is_refused_by_its_name(role: object) -> None:
    with pytest.raises(InvalidInputError) as raised:
        RunInput.of({"role": role, "content": "Hi"})
    assert repr(role) in str(raised.value)
    assert "user" in str(raised.value)


@pytest.mark.parametrize(
    "extra",
    [
        {"provider_items": "none"},
        {"provider_items": [7]},
        {"provider_items": [{"id": ...}]},
    ],
    ids=repr,
)
def test_a_message_whose_fields_are_of_another_kind_is_refused(extra: dict[str, object]) -> None:
    with pytest.raises(InvalidInputError):
        RunInput.of({"role": "user", "content": "Hi"} | extra).to_json()


def test_a_message_whose_content_is_no_text_is_refused() -> None:
    with pytest.raises(
        InvalidInputError, match="content must be a text or a tuple of parts, not int"
    ):
        Message("user", 7)  # type: ignore[arg-type] # what an untyped caller may do


@pytest.mark.parametrize("text", ["[]", '{"messages": 7}', '{"messages": [7]}', "{"])
def test_a_damaged_stored_input_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        RunInput.from_json(text)
