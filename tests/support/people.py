"""A run that waits for people, as do two below it, in a process that kills itself at one point."""

import asyncio
import os
import signal
from pathlib import Path

from crash import kill_around_write, open_database
from elsewhere import set_environment

from kern.agent import Agent
from kern.db.database import Database
from kern.exceptions import ApprovalRequired
from kern.models.base import ModelRequest
from kern.run.agent import RunOutput
from kern.run.base import RunContext
from kern.run.requirement import RunRequirement
from kern.team import Team
from kern.testing import FunctionModel, Reply
from kern.tools import FunctionTool, Tool

LEVELS = {
    "root": (("work a", "sign b"), ("fill c", "ask d"), ("middle e",)),
    "middle": (("work f", "leaf g"),),
    "leaf": (("sign h",), ("work i", "fill j")),
}
"""What the agents of each level call, turn by turn: a tool, and which step it is."""

STEPS = "abcdfhij"
"""The steps whose calls are no runs."""

ANSWER = (
    "root: a is done, b is done, c is done with ink, d is done, "
    "middle: f is done, leaf: h is done, i is done, j is done with ink"
)
"""What the run answers."""


def make_agent(case: str, db: Database, ledger: Path, kill_in: str | None = None) -> Agent:
    """Return the agent, whose tool is a second one, whose tool is a third one.

    Args:
        case: what their names begin with, so that nobody else serves their runs; where it ends with
            "as a team", each is a member of the team that the one above it leads.
        db: where their runs are kept.
        ledger: the file that models and tools write to as they are called.
        kill_in: the step, or the level with its turn, in which the process shall die.
    """

    def note(word: str, what: str, key: str) -> None:
        with ledger.open("a") as file:
            file.write(f"{word}\t{case}\t{what}\t{key}\n")
        if kill_in == what:
            os.kill(os.getpid(), signal.SIGKILL)

    async def work(step: str, context: RunContext) -> str:
        note("begin", step, context.idempotency_key)
        await asyncio.sleep(0.01)
        return f"{step} is done"

    async def fill(step: str, word: str, context: RunContext) -> str:
        return f"{await work(step, context)} with {word}"

    async def ask(step: str, context: RunContext) -> str:
        if context.is_approved:
            return await work(step, context)
        raise ApprovalRequired("May it be done?")

    def agent(level: str, *below: Agent) -> Agent:
        def reply(request: ModelRequest) -> Reply | str:
            said = [each for each in request.messages if each.role in ("assistant", "tool")]
            turn = sum(each.role == "assistant" for each in said)
            note("model", f"{level} {turn + 1}", level)
            if turn < len(LEVELS[level]):
                calls = [each.split() for each in LEVELS[level][turn]]
                return Reply.tool_calls(*(_call(case, tool, step) for tool, step in calls))
            return f"{level}: {', '.join(each.text for each in said if each.role == 'tool')}"

        tools: list[Tool] = [
            FunctionTool(work),
            FunctionTool(work, name="sign", requires_confirmation=True),
            FunctionTool(fill, requires_user_input=True, user_input_fields=["word"]),
            FunctionTool(ask),
        ]
        name = f"{case} {level}"
        if below and leads(case):
            return Team(below, name, FunctionModel(reply), id=name, db=db, tools=tools)
        tools += [each.as_tool(name=each.name.rpartition(" ")[2]) for each in below]
        return Agent(name, FunctionModel(reply), id=name, db=db, tools=tools)

    return agent("root", agent("middle", agent("leaf")))


def leads(case: str) -> bool:
    """Say whether the agents of a case are teams."""
    return case.endswith("as a team")


def _call(case: str, tool: str, step: str) -> tuple[str, dict[str, object]]:
    if tool not in LEVELS:
        return tool, {"step": step}
    if leads(case):
        return "delegate_task_to_member", {"member_id": f"{case} {tool}", "task": step}
    return tool, {"input": step}


async def carry(agent: Agent, run_id: str) -> RunOutput:
    """Wait for the run's end; answer what it pauses for."""
    while True:
        run = await agent.await_run(run_id, timeout=60)
        assert run is not None
        if not run.is_paused:
            return run
        for requirement in run.active_requirements:
            answer(requirement)
        await agent.acontinue_run(run_id=run_id, requirements=run.requirements)


def answer(requirement: RunRequirement) -> None:
    """Have a call be made."""
    if requirement.needs_user_input:
        requirement.provide_user_input({"word": "ink"})
    else:
        requirement.confirm()


def execute(where: str, table: str, ledger: str, case: str) -> None:
    """Execute the run until the process kills itself.

    Args:
        where: the database.
        table: its session table.
        ledger: see :func:`make_agent`.
        case: ``"in STEP"``, ``"in LEVEL TURN"``, ``"before write N"`` or ``"after write N"``.
    """
    set_environment({})
    how, _, what = case.removesuffix(" as a team").partition(" ")
    if how in ("before", "after"):
        kill_around_write(how == "before", int(what.split()[1]), at_once=True)
    agent = make_agent(
        case, open_database(where, table), Path(ledger), what if how == "in" else None
    )

    async def main() -> None:
        run_id = name_of(case)
        await agent.arun("Go", background=True, run_id=run_id, session_id=run_id)
        run = await carry(agent, run_id)
        assert run.content == ANSWER, (run.status, run.error)

    asyncio.run(main())


def name_of(case: str) -> str:
    """Return the id of a case's run."""
    return case.replace(" ", "-")
