"""What persons have answered, as the promises of calls count it."""

import json

from kern.run.requirement import RunRequirement
from tests.simulation.promises.seen import Seen


class Counted:
    """The answers that somebody is about to give, counted before they are heard."""

    def __init__(self, seen: Seen) -> None:
        """Count none yet."""
        self._seen = seen
        self._allowed: list[tuple[str, str]] = []

    def add(self, answer: RunRequirement) -> None:
        """Count an answer, or what is given by none."""
        run_id, key = self._call(answer)
        known = self._seen.known[run_id]
        if answer.external_execution_result is not None:
            known.results[key].add(answer.external_execution_result)
        elif answer.confirmation is not False and answer.is_resolved():
            edited = json.loads(answer.arguments or "{}")
            known.notes[key].add(str((answer.values | edited).get("note", "")))
            known.allowed[key] += 1
            self._allowed.append((run_id, key))

    def take_back(self) -> None:
        """Count that the answers were not heard."""
        for run_id, key in self._allowed:
            self._seen.known[run_id].allowed[key] -= 1

    def _call(self, answer: RunRequirement) -> tuple[str, str]:
        """Return the run whose call an answer is about, and the key of the call."""
        for run_id in self._seen.rows:
            if answer.id.startswith(f"{run_id}/"):
                turn, place, *_ = answer.id.removeprefix(f"{run_id}/").split("/")
                return run_id, f"{run_id}/{turn}/{place}"
        raise LookupError(f"{answer.id} is about no run")
