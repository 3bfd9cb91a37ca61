"""What Hypothesis draws from: values of the kinds that users, models and tools produce."""

from typing import TypeAlias

from hypothesis import settings
from hypothesis import strategies as st

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

# No deadline: how long an example takes says more about the machine than about kern.
settings.register_profile("kern", deadline=None, max_examples=50)
settings.load_profile("kern")

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"


def _as_utf16(text: str) -> str:
    """Return the text with adjacent halves of a pair joined, as JSON can only mean the whole."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")


texts = st.text(
    st.one_of(
        st.characters(), st.sampled_from(["\x00", "\ud800", "\udfff", "\u2028", "\U0001f600"])
    )
).map(_as_utf16)

_sources = st.one_of(
    st.builds(Url, texts),
    st.builds(Inline, st.binary()),
    st.builds(Blob, texts, st.integers(0), st.none() | texts),
)
_places = st.none() | st.integers(0)

parts: st.SearchStrategy[Part] = st.one_of(
    st.builds(TextPart, texts),
    st.builds(ImagePart, _sources, st.none() | texts, st.none() | texts),
    st.builds(AudioPart, _sources, st.none() | texts, st.none() | texts),
    st.builds(FilePart, _sources, st.none() | texts, st.none() | texts),
    st.builds(ReasoningPart, texts),
    st.builds(CitationPart, texts, st.none() | texts, _places, _places),
)

json_values: st.SearchStrategy[Json] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**40), 10**40)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)

json_objects = st.dictionaries(texts, json_values, max_size=4)

identifiers = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=255)
