"""Code of users that ends its process: the run fails, and those of others go on."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
from typing_extensions import override

from kern.agent import Agent
from kern.db.in_memory import InMemoryDb
from kern.execution.middleware import Middleware
from kern.models.base import ModelRequest
from kern.run.agent import RunOutput
from kern.run.base import RunInfo, RunStatus
from kern.team import Team
from kern.testing import FunctionModel, ScriptedModel
from kern.tools import Tool, Toolset


def leave() -> Any:
    raise SystemExit(3)


def leave_asked(request: ModelRequest) -> str:
    raise SystemExit(3)


class LeavingTools(Toolset):
    """Ends the process where it is asked for tools."""

    @override
    async def tools(self, run: RunInfo) -> Sequence[Tool]:
        raise SystemExit(3)


class LeavingRuns(Middleware):
    """Ends the process in the place of a run."""

    @override
    async def run(self, run: RunInfo, proceed: Callable[[], Awaitable[RunOutput]]) -> RunOutput:
        raise SystemExit(3)


def agent(**options: Any) -> Agent:
    return Agent("Tester", **{"model": ScriptedModel(["Hello."]), **options})


PLACES: dict[str, Callable[[], Agent[Any, Any]]] = {
    "members": lambda: Team(leave, "Team", ScriptedModel()),
    "tools": lambda: agent(tools=leave),
    "a toolset": lambda: agent(tools=[LeavingTools()]),
    "instructions": lambda: agent(instructions=leave),
    "dependencies": lambda: agent(dependencies={"it": leave}, instructions=lambda dependencies: ""),
    "middleware": lambda: agent(middleware=[LeavingRuns()]),
    "a model": lambda: agent(model=FunctionModel(leave_asked)),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("background", [False, True], ids=["foreground", "background"])
async def test_a_function_that_ends_the_process_ends_its_run(place: str, background: bool) -> None:
    run: RunOutput | None
    tester = PLACES[place]()
    tester.db, tester.raise_on_error = InMemoryDb(), False
    run = await tester.arun("Hi", background=background)
    if background:
        run = await tester.await_run(run.run_id, 20)
    assert run is not None
    assert run.status is RunStatus.error
    assert "SystemExit: 3" in (run.error or "")
