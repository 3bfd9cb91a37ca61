"""What kern promises of the states of sessions: they are what the journals of their runs say."""

from kern.run.codec import parse
from kern.run.entry import read_row
from kern.run.record import JournalRow
from kern.run.state import StatePatch
from kern.run.tool_steps import ToolEnded
from tests.simulation.agents import HELPERS
from tests.simulation.promises.seen import Row, Seen


class Kept:
    """Watches the states of sessions."""

    def __init__(self, seen: Seen) -> None:
        """Look at what is seen."""
        self._seen = seen

    def check(self) -> None:
        """See that every session has the state that the runs in it have left."""
        stored: dict[str, dict[str, object]] = {}
        for session_id, key, value in self._seen.world.rows(
            "SELECT session_id, key, value FROM kern_sessions_states WHERE value IS NOT NULL"
        ):
            stored.setdefault(session_id, {})[str(parse(key))] = parse(value)
        for session_id, expected in self._expected().items():
            found = stored.pop(session_id, {})
            if found != expected:
                wrong = {key for key in found | expected if found.get(key) != expected.get(key)}
                differences = [f"{key}: {found.get(key)}, not {expected.get(key)}" for key in wrong]
                self._seen.breach(f"the state of {session_id} is {sorted(differences)}")
        if stored:
            self._seen.breach(f"there are states that nobody has made: {stored}")

    def _expected(self) -> dict[str, dict[str, object]]:
        """Return the states by what is journaled: of each key the last word of the last run."""
        states: dict[str, dict[str, object]] = {}
        for row in sorted(self._seen.rows.values(), key=lambda row: row.position):
            patches = self._patches(row)
            if row.agent_id in HELPERS and row.webhook is None:
                continue  # What they change is a part of what their parents' calls have changed.
            if patches:
                states.setdefault(row.session_id, {})
            for patch in patches:
                states[row.session_id].update(patch.set)
                for key in patch.delete:
                    states[row.session_id].pop(key, None)
        return states

    def _patches(self, row: Row) -> list[StatePatch]:
        """Return what a run has changed, in the order of its journal."""
        found: list[StatePatch] = []
        for each in self._seen.world.rows(
            "SELECT run_id, seq, event, type, skippable, payload FROM kern_sessions_run_events "
            "WHERE run_id = :run_id ORDER BY seq",
            run_id=row.run_id,
        ):
            step = read_row(JournalRow(*each)).step
            if isinstance(step, ToolEnded) and step.state is not None:
                found.append(step.state)
                self._check_calls(step.state)
        return found

    def _check_calls(self, patch: StatePatch) -> None:
        """See that a call has not begun with what it had changed itself in another attempt."""
        for key, times in patch.set.items():
            if key.startswith("call ") and times != 1:
                self._seen.breach(f"the {key} has changed the state {times} times")
