"""The agents of a simulation, whose models follow plans."""

import asyncio
import json
import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextvars import ContextVar
from typing import Any, cast

from typing_extensions import override

from kern.agent import Agent
from kern.db.database import Database
from kern.errors import ModelError
from kern.execution.middleware import Middleware
from kern.models.base import Model, ModelRequest, ModelResponse, Piece, Text
from kern.models.prices import Price
from kern.run.agent import RunOutput
from kern.run.base import RunInfo
from kern.run.message import Message, Metrics
from kern.run.steps import FOLLOWUPS, OUTPUT_MODEL
from kern.run.tool import ToolCall
from kern.run.usage import UsageLimits
from tests.simulation.plans import Plan, Step
from tests.simulation.promises.reports import is_report
from tests.simulation.tools import here, tools


class Planned(Model):
    """A model that does what the last user message says."""

    id = "planned"
    provider = "simulation"
    price = Price(input=0, output=0)

    @override
    async def respond(self, request: ModelRequest) -> ModelResponse:
        async for piece in self.stream(request):
            if isinstance(piece, ModelResponse):
                return piece
        raise AssertionError("a stream ends with its response")

    @override
    async def stream(self, request: ModelRequest) -> AsyncGenerator[Piece, None]:
        last, plan = _planned(request.messages)
        turn = sum(message.role == "assistant" for message in request.messages[last:])
        calls = here().world.calls.model_called(self.run_of(plan), turn)
        message = Message("assistant", answer(m.text for m in request.messages if m.role == "tool"))
        if turn < len(plan["turns"]):
            steps = plan["turns"][turn]
            asked = [_call(f"{turn + 1}.{place}", step) for place, step in enumerate(steps)]
            message = Message("assistant", f"🙂 turn {turn + 1}", tool_calls=asked)
        text = f"call {calls} 🙃 fails" if calls in plan["failures"] else message.text
        pieces = list(_cut(text))
        for piece in pieces:
            await asyncio.sleep(plan["think"] / len(pieces))
            yield Text(piece)
        if calls in plan["failures"]:
            raise ModelError(f"planned failure {calls}", transient=True, content=text)
        yield ModelResponse(message, Metrics(total_tokens=1, model_calls=1))

    def run_of(self, plan: Plan) -> str:
        """Return the run that has a plan."""
        return plan["id"]


class PlannedForSeveral(Planned):
    """A model that does the same; several runs have one plan, or one whose id is not the plan's."""

    @override
    def run_of(self, plan: Plan) -> str:
        return _run_id.get()


class Telling(Middleware):
    """Tells the model whose answer it is to write."""

    @override
    async def run(self, run: RunInfo, proceed: Callable[[], Awaitable[RunOutput]]) -> RunOutput:
        _run_id.set(run.run_id)
        return await proceed()


_run_id: ContextVar[str] = ContextVar("_run_id")


class Following(Planned):
    """A model that is asked after the planned one: it writes the same answer, or a follow-up."""

    id = "following"

    @override
    async def stream(self, request: ModelRequest) -> AsyncGenerator[Piece, None]:
        question, _, draft = request.messages[-1].text.partition("\n\nThe draft of the answer:\n\n")
        name = OUTPUT_MODEL if draft else FOLLOWUPS
        plan = cast(Plan, json.loads(question.partition("\n\nThe answer:")[0]))
        here().world.calls.secondary_called(plan["id"], name)
        await asyncio.sleep(plan["think"])
        message = Message("assistant", draft or '{"followups": ["And then?"]}')
        yield ModelResponse(message, Metrics(model_calls=1))


def answer(results: Iterable[str]) -> str:
    """Return the last answer of a run whose tools have returned this."""
    return " ".join(["🙂", *results])


def _planned(messages: Sequence[Message]) -> tuple[int, Plan]:
    """Return the plan, and which message says it; who is told of an end only has none."""
    given = [n for n, each in enumerate(messages) if each.role == "user"]
    planned = [n for n in given if not is_report(messages[n].text)]
    if planned:
        return planned[-1], cast(Plan, json.loads(messages[planned[-1]].text))
    return given[-1], Plan(id=_run_id.get(), think=0.1, failures=[], turns=[])


def _cut(text: str) -> Iterator[str]:
    """Yield a text in pieces, which may be halves of characters."""
    units = text.encode("utf-16-le")
    while units:
        end = 2 * random.randint(1, 10)
        yield units[:end].decode("utf-16-le", "surrogatepass")
        units = units[end:]


def _call(place: str, step: Step) -> ToolCall:
    given: dict[str, object] = {"seconds": step["seconds"]}
    if step["tool"] == "delegate":
        given = {"plan": json.dumps(step["child"]), "how": step["how"], "agent": step["agent"]}
    elif step["child"] is not None:
        given = {"input": json.dumps(step["child"])}
    return ToolCall(f"{place}.{step['tool']}", step["tool"], json.dumps(given))


def agents(database: Database, expires_in: float) -> dict[str, Agent]:
    """Return a process's own objects of the agents.

    ``plain`` has no limits, and ``helper`` as a tool, also in the background, which so has
    ``second``; ``scarce`` may execute two runs at once and one a user; ``patient`` tries failed
    calls again; ``curious`` has other models asked after it; ``frugal`` and ``brief`` may not do
    much.

    Args:
        database: as the process names it.
        expires_in: for how many seconds a person can answer what expires.
    """
    several: dict[str, Any] = {
        "model": PlannedForSeveral(),
        "middleware": [Telling()],
        "db": database,
    }
    second = Agent("second", id="second", **several, tools=tools(expires_in, None))
    helper = Agent("helper", id="helper", **several, tools=tools(expires_in, second))
    common: dict[str, Any] = {"model": Planned(), "db": database, "tools": tools(expires_in, None)}
    scarce: dict[str, Any] = {
        "max_concurrent_runs": AGENT_LIMIT,
        "max_concurrent_runs_per_user": USER_LIMIT,
    }
    made = [
        second,
        helper,
        Agent(id="plain", **several, tools=tools(expires_in, helper)),
        Agent(id="scarce", **common, **scarce),
        Agent(id="patient", **common, max_attempts=20),
        Agent(
            id="curious",
            **common,
            max_attempts=20,
            output_model=Following(),
            followups=True,
            num_followups=1,
            followup_model=Following(),
        ),
        Agent(
            id="frugal",
            **common,
            max_attempts=20,
            tool_call_limit=TOOL_CALL_LIMIT,
            usage_limits=UsageLimits(requests=REQUESTS),
        ),
        Agent(id="brief", **common, max_attempts=20, max_turns=MAX_TURNS),
    ]
    return {agent.id: agent for agent in made}


HELPERS = frozenset({"helper", "second"})
"""The agents whose runs are calls of others."""

AGENT_LIMIT, USER_LIMIT = 2, 1
TOOL_CALL_LIMIT, REQUESTS, MAX_TURNS = 3, 3, 2
