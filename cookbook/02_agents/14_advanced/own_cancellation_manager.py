"""Ask a place of your own whether a run shall stop, beside the database, which is the truth.

A manager is told when a run begins and ends and when one is cancelled, and is asked between the
steps of each run. All its twelve verbs are to be implemented; here they share a set.
"""

from kern.agent import Agent
from kern.exceptions import RunCancelledException
from kern.models.openai import OpenAIResponses
from kern.run import get_cancellation_manager, set_cancellation_manager
from kern.run.cancellation_management.base import BaseRunCancellationManager


class Switchboard(BaseRunCancellationManager):
    """Keeps the runs and their switches in memory, as a Redis would for many processes."""

    def __init__(self) -> None:
        self.runs: dict[str, bool] = {}

    def register_run(self, run_id: str) -> None:
        print("begins:", run_id)
        self.runs.setdefault(run_id, False)

    def cancel_run(self, run_id: str) -> bool:
        known, self.runs[run_id] = run_id in self.runs, True
        return known

    def is_cancelled(self, run_id: str) -> bool:
        return self.runs.get(run_id, False)

    def cleanup_run(self, run_id: str) -> None:
        print("ends:", run_id)
        self.runs.pop(run_id, None)

    def raise_if_cancelled(self, run_id: str) -> None:
        if self.is_cancelled(run_id):
            raise RunCancelledException(f"Run {run_id} was switched off.")

    def get_active_runs(self) -> dict[str, bool]:
        return dict(self.runs)

    async def aregister_run(self, run_id: str) -> None:
        self.register_run(run_id)

    async def acancel_run(self, run_id: str) -> bool:
        return self.cancel_run(run_id)

    async def ais_cancelled(self, run_id: str) -> bool:
        return self.is_cancelled(run_id)

    async def acleanup_run(self, run_id: str) -> None:
        self.cleanup_run(run_id)

    async def araise_if_cancelled(self, run_id: str) -> None:
        self.raise_if_cancelled(run_id)

    async def aget_active_runs(self) -> dict[str, bool]:
        return self.get_active_runs()


def ring() -> str:
    """Ring; somebody switches the run off meanwhile."""
    get_cancellation_manager().cancel_run("bell")
    return "it rang"


sexton = Agent(name="Sexton", model=OpenAIResponses(id="gpt-5.4-mini"), tools=[ring])

if __name__ == "__main__":
    set_cancellation_manager(Switchboard())
    print(sexton.run("Good evening.", run_id="evening").status.value)
    print(sexton.run("Ring until I say stop.", run_id="bell").status.value)
