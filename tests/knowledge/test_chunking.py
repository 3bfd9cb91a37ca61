"""Where texts are cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kern.errors import ConfigurationError
from kern.knowledge import Chunking


def chunks(text: str, size: int, overlap: int = 0) -> list[str]:
    return [*Chunking(size, overlap).chunks(text)]


def test_a_chunk_ends_where_the_text_lets_it_best() -> None:
    assert chunks("# One\nfern fern\n# Two\nmoss moss", 22) == [
        "# One\nfern fern",
        "# Two\nmoss moss",
    ]
    assert chunks("One one.\n\nTwo two.\n\nThree.", 20) == ["One one.\n\nTwo two.", "Three."]
    assert chunks("one one\ntwo two\nthree", 16) == ["one one\ntwo two", "three"]
    assert chunks("Is it? Yes (it is.) Well", 20) == ["Is it? Yes (it is.)", "Well"]
    assert chunks("森は古い。苔は若い。", 6) == ["森は古い。", "苔は若い。"]
    assert chunks("x" * 25, 10) == ["x" * 10, "x" * 10, "x" * 5]


def test_what_stands_across_a_cut_is_repeated() -> None:
    text = "Oaks are old. Ferns are older. Moss."
    assert chunks(text, 31, 15) == ["Oaks are old. Ferns are older.", "are older. Moss."]


def test_a_text_without_words_has_no_chunks() -> None:
    assert chunks("", 10) == chunks(" \n\t\n ", 2) == []


@given(st.text(alphabet="ab. \n#é。", max_size=300), st.integers(1, 40), st.integers(0, 20))
def test_nothing_is_lost_and_nothing_too_long(text: str, size: int, overlap: int) -> None:
    found = chunks(text, size)
    assert all(0 < len(each) <= size for each in found)
    assert "".join("".join(found).split()) == "".join(text.split())
    repeated = chunks(text, size, min(overlap, size // 2))
    assert all(0 < len(each) <= size and each in text for each in repeated)
    assert {*"".join(text.split())} == {*"".join("".join(repeated).split())}


def test_sizes_that_lead_nowhere_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="size"):
        Chunking(0)
    with pytest.raises(ConfigurationError, match="more than half"):
        Chunking(100, 51)
