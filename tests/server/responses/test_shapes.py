"""What is void of a message is found among its pieces, whoever has said them in between."""

import pytest

from kern.server.responses.shapes import MessageItem, unsaid


@pytest.mark.parametrize(
    ("pieces", "void", "left", "rest"),
    [
        (["Hello ", "there"], "Hello there", [], ""),
        (["there"], "Hello there", [], "Hello "),
        (["a1 ", "b1 ", "a2 "], "a1 a2 ", ["b1 "], ""),
        (["a\n\n", "b"], "a\n\n", ["b"], ""),
        (["one", "two"], "one\n\ntwo", [], ""),
        (["one"], "one\n\n", [], ""),
        (["other"], "Hello\n\n", ["other"], "Hello\n\n"),
        (["\ud83d", "\ude00"], "😀", [], ""),
    ],
)
def test_pieces_that_are_void_are_left_out(
    pieces: list[str], void: str, left: list[str], rest: str
) -> None:
    assert unsaid(MessageItem("msg_1", 0, pieces), void) == (left, rest)
