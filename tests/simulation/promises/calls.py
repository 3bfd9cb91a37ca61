"""What kern promises of the calls of models and tools: made once, as allowed, and journaled."""

import json
from collections.abc import Iterable
from math import inf

from kern.run.base import RunContext
from kern.run.content import text_of
from kern.run.entry import read_row
from kern.run.record import JournalRow
from kern.run.steps import FOLLOWUPS, OUTPUT_MODEL, AnyStep, ModelAnswered, SecondaryAnswered
from kern.run.tool import ToolCall
from kern.run.tool_steps import StepEnded, ToolEnded
from tests.simulation.agents import MAX_TURNS, REQUESTS, TOOL_CALL_LIMIT
from tests.simulation.promises.seen import Seen
from tests.simulation.tools import ASKS, result_of_work

MOST_ANSWERS = {"frugal": REQUESTS, "brief": MAX_TURNS}
"""How often agents may ask their models in a run."""

# Results that the tool did not return, but kern put in its place.
_OF_KERN = (
    "DatabaseUnavailableError",
    "CancelledError",
    "ModelError",
    "UsageLimitError",
    "Not called",
)


class Calls:
    """Watches the calls of models and tools."""

    def __init__(self, seen: Seen) -> None:
        """Look at what is seen."""
        self._seen = seen

    def model_called(self, run_id: str, turn: int) -> int:
        """See that the model is not asked again for what it has answered.

        Returns:
            How many calls there were for the run, this one included.
        """
        seen, known, process = self._seen, self._seen.known[run_id], self._seen.world.running()
        known.model_calls += 1
        seen.world.write(f"model: {run_id} turn {turn + 1}")
        answers = self._answers(run_id)
        calls = sum(len(step.message.tool_calls) for step in answers)
        if known.holder is process and turn < len(answers):
            seen.breach(f"turn {turn + 1} of {run_id} was asked for again")
        elif known.holder is process and (
            turn > len(answers) or calls > len(self.journaled(run_id))
        ):
            seen.breach(f"turn {turn + 1} of {run_id} was asked for before the last is journaled")
        if turn >= MOST_ANSWERS.get(seen.rows[run_id].agent_id, inf):
            seen.breach(f"turn {turn + 1} of {run_id} was asked for above its limit")
        return known.model_calls

    def secondary_called(self, run_id: str, name: str) -> None:
        """See that a model is asked after the answer, and for nothing that it has answered."""
        seen = self._seen
        seen.world.write(f"model: {run_id} {name}")
        if seen.known[run_id].holder is not seen.world.running():
            return
        answers = self._answers(run_id)
        if not answers or answers[-1].message.tool_calls:
            seen.breach(f"the {name} of {run_id} was asked before the answer is journaled")
        steps = self._steps(run_id)
        asked = [each.name for each in steps if isinstance(each, SecondaryAnswered)]
        if name in asked:
            seen.breach(f"the {name} of {run_id} was asked again")
        if name == FOLLOWUPS and OUTPUT_MODEL not in asked:
            seen.breach(f"the {name} of {run_id} was asked before what comes first is journaled")

    def tool_asks(self, context: RunContext) -> None:
        """See that a call that asks for a person is told only of one that there was."""
        known, key = self._seen.known[context.run_id], context.idempotency_key
        self._seen.world.write(f"tool: {key} asks ({context.is_approved=})")
        if context.is_approved and not known.allowed[key]:
            self._seen.breach(
                f"the call {key} was told that it is allowed, and nobody has allowed it"
            )

    def tool_called(self, context: RunContext, note: str = "") -> None:
        """See that a call may be made, and with what a person has noted."""
        seen, key = self._seen, context.idempotency_key
        known, row = seen.known[context.run_id], seen.rows[context.run_id]
        tool = context.tool_call_id.rsplit(".")[-1]
        seen.world.write(f"tool: {key} (attempt {context.attempt})")
        # A process that was frozen may begin a call before its attempt meets the fence.
        if context.attempt == row.attempt and key in self.journaled(context.run_id):
            seen.breach(f"the call {key} was made again, though its result is journaled")
        begun = known.begun[key]
        allowed = known.allowed[key] + (tool not in ASKS)
        if not allowed or (tool in ("risky", "grave") and len(begun) >= allowed):
            seen.breach(f"the call {key} was made, and nobody has allowed it")
        if context.attempt in begun:
            seen.breach(f"the call {key} was made twice in attempt {context.attempt}")
        if note not in known.notes[key] and (note or tool == "filled"):
            seen.breach(f"the call {key} was made with {note!r}, which nobody has given")
        if context.attempt > known.refused.get(key, inf):
            seen.breach(f"the call {key} was made, though a person has refused it")
        begun.append(context.attempt)
        if row.agent_id == "frugal" and len(known.begun) > TOOL_CALL_LIMIT:
            seen.breach(f"the call {key} was made above the limit")

    def tool_returned(self, context: RunContext, result: str) -> None:
        """Remember a result."""
        self._seen.known[context.run_id].results[context.idempotency_key].add(result)

    def step_called(self, result: str) -> None:
        """See that a step is not done again once its result is journaled."""
        seen = self._seen
        key = result.rpartition(" ")[2]
        run_id = key.split("/")[0]
        seen.world.write(f"step: {result}")
        if seen.known[run_id].holder is seen.world.running() and result in self._ended_steps(
            run_id
        ):
            seen.breach(f"{result} was done again, though its result is journaled")

    def step_returned(self, context: RunContext, result: str, expected: str) -> None:
        """See that a step came to what it should, and that this is journaled."""
        seen, run_id = self._seen, context.run_id
        if result != expected:
            seen.breach(f"a step came to {result!r}, not to {expected!r}")
        is_newest = context.attempt == seen.rows[run_id].attempt
        if is_newest and expected not in self._ended_steps(run_id):
            seen.breach(f"{expected} was returned before it is journaled")

    def decided(self, run_id: str, key: str, expected: str) -> None:
        """See that a call has the result that a person gave it."""
        if (result := self.journaled(run_id).get(key)) != expected:
            self._seen.breach(f"the call {key} has the result {result!r}, not {expected!r}")

    def journaled(self, run_id: str) -> dict[str, str]:
        """Return the results of a run's tool calls by idempotency key, in the calls' order."""
        results: dict[tuple[int, int], str] = {}
        turn, calls = 0, list[ToolCall]()
        for step in self._steps(run_id):
            if isinstance(step, ModelAnswered):
                turn, calls = turn + 1, step.message.tool_calls
            elif isinstance(step, ToolEnded):
                results[turn, step.place] = text = text_of(step.content)
                if calls[step.place].name == "helped":
                    self._check_child(run_id, text)
                elif calls[step.place].name != "started":
                    self._check_result(run_id, f"{run_id}/{turn}/{step.place}", text)
        return {f"{run_id}/{turn}/{place}": results[turn, place] for turn, place in sorted(results)}

    def _check_child(self, run_id: str, result: str) -> None:
        """See that a call that is a run of another agent has the answer of such a run."""
        runs = [each for each in self._seen.rows.values() if each.parent_run_id == run_id]
        answers = [json.loads(each.output or "{}").get("content") for each in runs]
        if result not in answers and not result.startswith((*_OF_KERN, "The run of ")):
            self._seen.breach(f"a call of {run_id} has the answer of no child: {result}")

    def _check_result(self, run_id: str, key: str, result: str) -> None:
        if result.startswith("did[") and result.partition(" ")[0] != result_of_work(key):
            self._seen.breach(f"the call {key} has the result of another: {result}")
        if not result.startswith(_OF_KERN) and result not in self._seen.known[run_id].results[key]:
            self._seen.breach(f"the call {key} has a result that it never returned: {result}")

    def asked(self, run_id: str) -> set[str]:
        """Return the tools that a run's model has called."""
        return {call.name for step in self._answers(run_id) for call in step.message.tool_calls}

    def answers(self, run_ids: Iterable[str]) -> int:
        """Return how many answers of models are journaled for these runs, secondary ones too."""
        asked = (step for run_id in run_ids for step in self._steps(run_id))
        return sum(isinstance(step, ModelAnswered | SecondaryAnswered) for step in asked)

    def _ended_steps(self, run_id: str) -> list[str]:
        """Return what the steps inside a run's tools came to."""
        ended = [step for step in self._steps(run_id) if isinstance(step, StepEnded)]
        return [str(json.loads(text_of(step.content))) for step in ended]

    def _answers(self, run_id: str) -> list[ModelAnswered]:
        return [step for step in self._steps(run_id) if isinstance(step, ModelAnswered)]

    def _steps(self, run_id: str) -> list[AnyStep | None]:
        rows = self._seen.world.rows(
            "SELECT run_id, seq, event, type, skippable, payload FROM kern_sessions_run_events "
            "WHERE run_id = :run_id ORDER BY seq",
            run_id=run_id,
        )
        return [read_row(JournalRow(*row)).step for row in rows]
