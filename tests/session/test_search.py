"""What a user's past sessions were about, told in few words."""

import json

from hypothesis import given
from hypothesis import strategies as st

from kern.run.codec import encode
from kern.run.input import RunInput
from kern.run.message import Message
from kern.session.search import beginning_of, shortened


def test_the_beginning_of_an_input_is_its_text() -> None:
    text = RunInput((Message("user", 'Say "hi"\n\\ to Łódź'),)).to_json()
    assert beginning_of(text) == 'Say "hi"\n\\ to Łódź'


def test_what_is_no_text_is_shown_as_json() -> None:
    assert beginning_of('{"agent_name":"A","content":{"name":"Bonn"},"tools":[]}') == (
        '{"name":"Bonn"},"tools":[]}'
    )
    assert beginning_of('{"agent_name":"A","content":null}') == ""
    assert beginning_of("damaged") == ""


def test_a_name_that_looks_like_content_is_none() -> None:
    text = encode({"agent_name": '"content":"no"', "content": "yes"}, "output")
    assert beginning_of(text) == "yes"


@given(st.text(max_size=60), st.integers(0, 200))
def test_a_text_that_is_cut_off_anywhere_is_shown_as_far_as_it_goes(text: str, end: int) -> None:
    whole = json.dumps({"agent_name": None, "content": text}, separators=(",", ":"))
    shown = beginning_of(whole[:end])
    # Half of a character beyond the sixteen bits may be left at the end.
    assert text.startswith(shown) or text.startswith(shown[:-1])


def test_a_text_is_shortened_to_so_many_characters() -> None:
    assert shortened("abc", 3) == "abc"
    assert shortened("abcd", 3) == "ab…"
