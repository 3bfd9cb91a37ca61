"""What others have written does not command the terminal."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kern.run.printable import escaped, one_line, printable, visible

ANY = st.text(st.characters())  # Lone surrogates included.


@given(ANY)
def test_nothing_is_left_that_commands_a_terminal(text: str) -> None:
    shown = printable(text)
    assert all(letter.isprintable() or letter in "\n\t" or ord(letter) > 0x9F for letter in shown)
    shown.encode()


@given(ANY, st.integers(1, 50))
def test_a_line_is_one_and_no_longer_than_it_may_be(text: str, most: int) -> None:
    line = one_line(text, most)
    assert len(line) <= most
    assert len(line.splitlines()) <= 1
    assert "\t" not in line


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("Hello\n\n  wo\t! ", "Hello wo !"),
        ("0123456789", "0123456789"),
        ("01234567890", "012345678…"),
        ("a\x1b[2J\u202ebc", "a\ufffd[2Jbc"),
        ("x" * 1_000_000, "x" * 9 + "…"),
        (" " * 1_000_000, "…"),
        ("", ""),
    ],
)
def test_lines(text: str, line: str) -> None:
    assert one_line(text, 10) == line


@given(st.text())
def test_json_that_is_edited_hides_nothing_and_says_the_same(text: str) -> None:
    edited = escaped(json.dumps(text, ensure_ascii=False))
    assert json.loads(edited) == text
    assert visible(edited) == edited
