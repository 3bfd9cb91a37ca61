"""What persons have answered, as the promises of calls count it."""

import json
from collections.abc import Iterable

from kern.run.requirement import RunRequirement
from tests.simulation.promises.calls import Calls
from tests.simulation.promises.seen import Seen


class Counted:
    """Answers that somebody is about to give, counted before they are heard."""

    def __init__(self, seen: Seen, calls: Calls, answers: Iterable[RunRequirement]) -> None:
        """Count them.

        Args:
            seen: what is seen.
            calls: the promises of calls.
            answers: the answers; those that answer nothing count for nothing.
        """
        self._seen = seen
        self._calls = calls
        self._answers = [(*self._call(each), each) for each in answers if each.is_resolved()]
        for run_id, key, answer in self._answers:
            known = seen.known[run_id]
            if answer.external_execution_result is not None:
                known.results[key].add(answer.external_execution_result)
            elif answer.confirmation is not False:
                edited = json.loads(answer.arguments or "{}")
                known.notes[key].add(str((answer.values | edited).get("note", "")))
                known.allowed[key] += 1

    def __str__(self) -> str:
        return ", ".join(key for _, key, _ in self._answers)

    def refused(self) -> None:
        """Count that they were not heard."""
        for run_id, key, answer in self._answers:
            if answer.external_execution_result is None and answer.confirmation is not False:
                self._seen.known[run_id].allowed[key] -= 1

    def heard(self, run_id: str, attempt: int) -> None:
        """See that calls of the run that they were given to have the results that they gave.

        Args:
            run_id: the run.
            attempt: the one that had paused.
        """
        known = self._seen.known[run_id]
        for whose, key, answer in self._answers:
            expected = answer.external_execution_result or answer.rejection
            if whose == run_id and expected is not None:
                known.refused[key] = attempt
                self._calls.decided(run_id, key, expected)

    def _call(self, answer: RunRequirement) -> tuple[str, str]:
        """Return the run whose call an answer is about, and the key of the call."""
        for run_id in self._seen.rows:
            if answer.id.startswith(f"{run_id}/"):
                turn, place, *_ = answer.id.removeprefix(f"{run_id}/").split("/")
                return run_id, f"{run_id}/{turn}/{place}"
        raise LookupError(f"{answer.id} is about no run")
