"""What spreads pauses: apart from the chance of the program, and another in each process."""

import os
import random
from pathlib import Path

import kern
from kern.aio.jitter import jitter


def test_a_program_that_seeds_pythons_chance_gets_the_numbers_that_it_expects() -> None:
    random.seed(7)
    expected = random.random()
    random.seed(7)
    jitter.uniform(0, 1)
    assert random.random() == expected


def test_nothing_else_of_kern_draws_from_pythons_own() -> None:
    root = Path(kern.__file__).parent
    using = [each.name for each in root.rglob("*.py") if "import random" in each.read_text()]
    assert using == []


def test_a_forked_child_has_another_chance() -> None:
    state = jitter.getstate()
    reading, writing = os.pipe()
    if not (child := os.fork()):
        os.write(writing, b"same" if jitter.getstate() == state else b"other")
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reading, 9) == b"other"
    os.close(reading)
    os.close(writing)
