"""What a caller can give to a run, and what is refused with a word of advice."""

import pytest
from hypothesis import given
from strategies import texts

from kern.errors import InvalidInputError
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
        (["Hi", 7], "int"),
        ([["Hi"]], "list"),
        (..., "ellipsis"),
    ],
    ids=repr,
)
def test_an_input_that_is_no_text_is_refused_by_its_kind(odd: object, kind: str) -> None:
    with pytest.raises(InvalidInputError, match=f"^The input holds {kind}. Pass a text"):
        RunInput.of(odd)


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
