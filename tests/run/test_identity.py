"""Ids of our own making are UUIDs of version 7."""

import time
from functools import reduce
from operator import and_, or_
from uuid import RFC_4122, UUID

from kern.run.identity import new_id


def test_an_id_is_a_uuid_that_begins_with_the_time() -> None:
    before = time.time_ns() // 1_000_000
    made = UUID(new_id())
    after = time.time_ns() // 1_000_000
    assert (made.version, made.variant) == (7, RFC_4122)
    assert before <= made.int >> 80 <= after


def test_no_two_are_alike_though_made_in_the_same_millisecond() -> None:
    assert len({new_id() for _ in range(10_000)}) == 10_000


def test_all_other_bits_are_random() -> None:
    free = 0xFFF << 64 | (1 << 62) - 1
    made = [UUID(new_id()).int for _ in range(200)]
    assert reduce(or_, made) & free == free
    assert reduce(and_, made) & free == 0
