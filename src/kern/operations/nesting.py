"""The runs that tool calls of a run are, as a tree."""

from collections.abc import Sequence
from dataclasses import dataclass

from kern.db.base import Store
from kern.db.listing import RunFilter
from kern.operations.listed import output_of
from kern.operations.wording import first_words
from kern.run.agent import RunOutput
from kern.run.record import RunRecord

# How deep a tree is shown, how many runs of one parent, and how many parents in all.
_DEEP, _WIDE, _PARENTS = 5, 50, 50


@dataclass(frozen=True, slots=True)
class Nested:
    """A run that a tool call of another is.

    Attributes:
        record: the run.
        output: the same, as its caller sees it.
        said: how its input begins.
        children: those that its own calls are.
    """

    record: RunRecord
    output: RunOutput
    said: str
    children: "Sequence[Nested]" = ()


async def nested_runs(store: Store, run_id: str, user_id: str | None) -> list[Nested]:
    """Return the runs that tool calls of a run are, and theirs, the first accepted first.

    Args:
        store: the database.
        run_id: the run.
        user_id: whose runs they must be, or nobody's; None for any.
    """
    found: dict[str, list[RunRecord]] = {}
    open_ones = [run_id]
    for _ in range(_DEEP):
        following: list[str] = []
        for parent in open_ones[: _PARENTS - len(found)]:
            wanted = RunFilter(parent_run_id=parent, seen_by=user_id)
            found[parent] = (await store.find(wanted, _WIDE))[::-1]
            following += [each.run_id for each in found[parent]]
        open_ones = following

    def below(parent: str) -> list[Nested]:
        return [
            Nested(each, output_of(each), first_words(each), below(each.run_id))
            for each in found.get(parent, ())
        ]

    return below(run_id)
