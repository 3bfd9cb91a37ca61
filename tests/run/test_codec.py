"""How values become text at rest, and what cannot."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import Json, identifiers, json_objects, json_values

from kern.errors import InvalidInputError, KernError
from kern.run.codec import check_id, decode_object, encode


@given(json_objects)
def test_an_object_comes_back_equal(value: dict[str, Json]) -> None:
    assert decode_object(encode(value, "value")) == value


@given(json_values)
def test_any_value_is_stored_as_printable_ascii(value: Json) -> None:
    text = encode(value, "value")
    assert text.isascii()
    assert text.isprintable()
    assert json.loads(text) == value


@pytest.mark.parametrize("text", ["\x00", "\ud800", "a\udfffb", "\U0001f600", "\u2028", "é" * 1000])
def test_what_databases_refuse_comes_back_equal(text: str) -> None:
    assert decode_object(encode({text: text}, "value")) == {text: text}


@given(json_objects)
def test_the_same_value_gives_the_same_text(value: dict[str, Json]) -> None:
    copy = json.loads(json.dumps(value))
    assert encode(copy, "value") == encode(value, "value")


@pytest.mark.parametrize(
    "value",
    [math.nan, math.inf, -math.inf, ..., b"bytes", {1, 2}, {"a": ...}, {b"key": 1}, 1j],
    ids=repr,
)
def test_a_value_without_a_json_form_is_refused_by_name(value: object) -> None:
    with pytest.raises(InvalidInputError, match=r"^metadata has no JSON form: .+ Use None, bool"):
        encode(value, "metadata")


def test_a_cycle_is_refused() -> None:
    cycle: list[object] = []
    cycle.append({"again": cycle})
    with pytest.raises(InvalidInputError, match="Circular"):
        encode(cycle, "metadata")


def test_a_bottomless_value_is_refused() -> None:
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(InvalidInputError, match="metadata has no JSON form"):
        encode(deep, "metadata")


@pytest.mark.parametrize("nothing", [None, "", b""])
def test_nothing_stored_is_an_empty_object(nothing: str | bytes | None) -> None:
    assert decode_object(nothing) == {}


@given(json_values.filter(lambda value: not isinstance(value, dict)))
def test_what_is_no_object_is_refused(value: Json) -> None:
    with pytest.raises(ValueError, match="expected a JSON object, found"):
        decode_object(json.dumps(value))


@pytest.mark.parametrize("text", ["{", "{} {}", "nil", b"\xff"])
def test_what_is_no_json_is_refused(text: str | bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        decode_object(text)


@given(identifiers)
def test_printable_characters_make_an_id(value: str) -> None:
    assert check_id("run_id", value) == value


@given(st.text(st.characters(categories=["Cs"]) | st.characters(max_codepoint=0x1F), min_size=1))
def test_control_characters_and_lone_surrogates_make_no_id(value: str) -> None:
    with pytest.raises(InvalidInputError, match=r"^run_id ") as raised:
        check_id("run_id", f"a{value[:200]}")
    assert str(raised.value).isprintable()


@pytest.mark.parametrize("value", ["", "a" * 256])
def test_an_id_of_the_wrong_length_is_refused(value: str) -> None:
    with pytest.raises(InvalidInputError, match=f"1 to 255 characters, not {len(value)}"):
        check_id("session_id", value)


@pytest.mark.parametrize("value", [None, 7, b"id", ["id"]])
def test_an_id_that_is_no_string_is_refused(value: object) -> None:
    with pytest.raises(
        InvalidInputError, match=f"run_id must be a string, not {type(value).__name__}"
    ):
        check_id("run_id", value)


def test_a_refused_value_is_an_error_of_kern_and_a_value_error() -> None:
    assert issubclass(InvalidInputError, KernError)
    assert issubclass(InvalidInputError, ValueError)
