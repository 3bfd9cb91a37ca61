"""What kern promises of runs in the background: each end is told once to who has started them."""

from kern.execution.reports import end_of, follow_up_id
from kern.run.entry import read_row
from kern.run.record import PARENT, JournalRow
from kern.run.steps import MessagesAdded
from tests.simulation.promises.seen import Row, Seen


class Reports:
    """Watches what runs are told of others."""

    def __init__(self, seen: Seen) -> None:
        """Look at what is seen."""
        self._seen = seen

    def left(self) -> list[str]:
        """Return what is yet to be told."""
        rows = self._seen.world.rows(
            "SELECT delivery_id FROM kern_sessions_webhooks WHERE due_at IS NOT NULL"
        )
        return [f"{row['delivery_id']} is not told" for row in rows]

    def check(self) -> None:
        """See that the last end of each run was told once, and no end more often."""
        for row in self._seen.rows.values():
            if row.webhook != PARENT:
                continue
            parent = self._seen.rows[row.parent_run_id or ""]
            told = [self._told(row, parent, each) for each in range(row.attempt + 1)]
            least = 0 if parent.status == "CANCELLED" else 1
            if not least <= told[-1] <= 1 or max(told) > 1:
                self._seen.breach(
                    f"the ends of {row.run_id}, which is {row.status} in attempt {row.attempt}, "
                    f"were told {told} times, and {parent.run_id} is {parent.status}"
                )

    def _told(self, row: Row, parent: Row, attempt: int) -> int:
        """Return how often an end of a run was told."""
        end, here = end_of(row.run_id, attempt), 0
        for step in self._added(parent.run_id):
            if end in step.ends:
                here += sum(f'run_id="{row.run_id}"' in each.text for each in step.messages)
        return here + (follow_up_id(row.run_id, attempt) in self._seen.rows)

    def _added(self, run_id: str) -> list[MessagesAdded]:
        rows = self._seen.world.rows(
            "SELECT run_id, seq, event, type, skippable, payload FROM kern_sessions_run_events "
            "WHERE run_id = :run_id AND type = 'MessagesAdded'",
            run_id=run_id,
        )
        steps = [read_row(JournalRow(*row)).step for row in rows]
        return [step for step in steps if isinstance(step, MessagesAdded)]


def is_report(text: str) -> bool:
    """Say whether a message tells of an end."""
    return "<background_run " in text
