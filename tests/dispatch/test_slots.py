"""How many runs a process executes at once."""

import asyncio

from kern.dispatch.slots import Slots


async def test_a_run_that_waits_for_another_gives_its_slot_back_and_takes_it_again() -> None:
    slots = Slots(2)
    slots.take()
    slots.take()
    assert slots.free == 0
    slots.set_waiting(True)
    assert slots.free == 1
    slots.take()  # A child begins.
    slots.set_waiting(False)
    assert (slots.taken, slots.free) == (3, 0)
    slots.give_back()
    assert slots.free == 0, "nothing new begins while the limit is exceeded"
    slots.give_back()
    assert slots.free == 1


async def test_nothing_but_children_begin_while_too_many_parents_wait() -> None:
    slots = Slots(1)
    for _ in range(10):
        slots.take()
        slots.set_waiting(True)
    assert slots.children_only
    slots.set_waiting(False)
    assert not slots.children_only


async def test_how_long_all_slots_have_been_held_begins_anew_with_each_that_is_given_back() -> None:
    slots = Slots(1)
    assert slots.full_for() == 0
    slots.take()
    await asyncio.sleep(0.02)
    assert slots.full_for() >= 0.02
    slots.give_back()
    assert slots.full_for() == 0
    assert slots.freed.is_set()
