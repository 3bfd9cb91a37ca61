"""Server-sent events, however their bytes are cut."""

import json
from collections.abc import AsyncGenerator, Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import json_values

from kern.models.sse import read_events

WANTED = frozenset({b"wanted"})


async def _read(*chunks: bytes, max_event: int = 1000) -> list[object]:
    async def cut() -> AsyncGenerator[bytes, None]:
        for chunk in chunks:
            yield chunk

    return [event async for event in read_events(cut(), WANTED, max_event)]


def _cut(data: bytes, places: Iterable[int]) -> list[bytes]:
    places = sorted({place % (len(data) + 1) for place in places})
    return [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True)]


@pytest.mark.parametrize("newline", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("size", [1, 2, 3, 1000])
async def test_events_are_read_wherever_their_bytes_are_cut(newline: bytes, size: int) -> None:
    lines = [
        b"\xef\xbb\xbf: a comment",
        b"event: wanted",
        'data: {"text": "é €😀"}'.encode(),
        b"",
        b"",
        b"data:[1,",
        b"id: 7",
        b"retry: 1000",
        b"data: 2]",
        b"",
        b"event: other",
        b"data: no json",
        b"",
        b"event: wanted",
        b"",
        b"data: null",
        b"",
        b"data: 3",
    ]
    data = newline.join(lines)
    chunks = [data[place : place + size] for place in range(0, len(data), size)]
    assert await _read(*chunks) == [{"text": "é €😀"}, [1, 2], None]


@given(st.lists(json_values, max_size=5), st.lists(st.integers(0), max_size=20), st.booleans())
async def test_any_json_comes_through_any_cuts(
    values: list[object], places: list[int], is_crlf: bool
) -> None:
    data = b"".join(b"data: " + json.dumps(each).encode() + b"\n\n" for each in values)
    data = data.replace(b"\n", b"\r\n") if is_crlf else data
    assert await _read(*_cut(data, places), max_event=100_000) == values


async def test_an_event_is_there_before_the_next_byte_is() -> None:
    async def one_and_no_more() -> AsyncGenerator[bytes, None]:
        yield b"data: 1\r\n\r"
        raise AssertionError("the event was complete")

    assert await anext(read_events(one_and_no_more(), WANTED)) == 1


async def test_done_ends_the_events() -> None:
    assert await _read(b"data: 1\n\ndata: [DONE]\n\ndata: 2\n\n") == [1]


@pytest.mark.parametrize("data", [b"{", b"", b"\xff\xfe", b"[" * 100_000])
async def test_what_is_no_json_is_refused(data: bytes) -> None:
    with pytest.raises((ValueError, RecursionError)):
        await _read(b"data: " + data + b"\n\n", max_event=1_000_000)


async def test_an_event_without_end_is_refused() -> None:
    with pytest.raises(ValueError, match="more than 1000 bytes"):
        await _read(*[b"data: 12345678901234567890"] * 1000)
