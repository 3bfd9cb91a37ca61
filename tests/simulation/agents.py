"""The agents of a simulation: a model that follows a plan, and tools that take simulated time."""

import asyncio
import json
import random
from collections.abc import AsyncGenerator, Coroutine, Iterable, Iterator
from typing import TYPE_CHECKING, Any, cast

from typing_extensions import override

from kern.agent import Agent
from kern.db.database import Database
from kern.errors import ModelError
from kern.models.base import Model, ModelRequest, ModelResponse, Piece, Text
from kern.models.prices import Price
from kern.run.base import RunContext, RunStatus
from kern.run.message import Message, Metrics
from kern.run.steps import FOLLOWUPS, OUTPUT_MODEL
from kern.run.tool import ToolCall
from kern.run.usage import UsageLimits
from kern.tools import FunctionTool
from tests.simulation.loop import Loop
from tests.simulation.plans import How, Plan, Step

if TYPE_CHECKING:
    from tests.simulation.world import Process


def _here() -> "Process":
    """Return the process that runs now."""
    return cast("Process", cast(Loop, asyncio.get_running_loop()).owner)


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
        last = max(n for n, message in enumerate(request.messages) if message.role == "user")
        plan = cast(Plan, json.loads(request.messages[last].text))
        turn = sum(message.role == "assistant" for message in request.messages[last:])
        calls = _here().world.calls.model_called(plan["id"], turn)
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


class Following(Planned):
    """A model that is asked after the planned one: it writes the same answer, or a follow-up."""

    id = "following"

    @override
    async def stream(self, request: ModelRequest) -> AsyncGenerator[Piece, None]:
        question, _, draft = request.messages[-1].text.partition("\n\nThe draft of the answer:\n\n")
        name = OUTPUT_MODEL if draft else FOLLOWUPS
        plan = cast(Plan, json.loads(question.partition("\n\nThe answer:")[0]))
        _here().world.calls.secondary_called(plan["id"], name)
        await asyncio.sleep(plan["think"])
        message = Message("assistant", draft or '{"followups": ["And then?"]}')
        yield ModelResponse(message, Metrics(model_calls=1))


def answer(results: Iterable[str]) -> str:
    """Return the last answer of a run whose tools have returned this."""
    return " ".join(["🙂", *results])


def _cut(text: str) -> Iterator[str]:
    """Yield a text in pieces, which may be halves of characters."""
    units = text.encode("utf-16-le")
    while units:
        end = 2 * random.randint(1, 10)
        yield units[:end].decode("utf-16-le", "surrogatepass")
        units = units[end:]


def _call(place: str, step: Step) -> ToolCall:
    call_id = f"{place}.{step['tool']}"
    if step["child"] is None:
        return ToolCall(call_id, step["tool"], json.dumps({"seconds": step["seconds"]}))
    names = {"plan": json.dumps(step["child"]), "how": step["how"], "agent": step["agent"]}
    return ToolCall(call_id, "delegate", json.dumps(names))


def result_of_work(context_key: str) -> str:
    """Return what work returns in the call with this idempotency key."""
    return f"did[{context_key}]"


async def work(seconds: float, context: RunContext) -> str:
    """Take some time."""
    return await _call_tool(
        context, asyncio.sleep(seconds, result_of_work(context.idempotency_key))
    )


async def stepped(seconds: float, context: RunContext) -> str:
    """Take some time in steps, and sleep between them, often so long that the slot is free."""
    return await _call_tool(context, _in_steps(seconds, context))


async def _in_steps(seconds: float, context: RunContext) -> str:
    calls = _here().world.calls
    for occurrence in range(STEPS):
        expected = result_of_step(context.idempotency_key, occurrence)
        result = await context.step("part", _do, seconds / 10, expected)
        calls.step_returned(context, result, expected)
        await context.sleep(2 * seconds)
    return result_of_work(context.idempotency_key)


async def _do(seconds: float, result: str) -> str:
    _here().world.calls.step_called(result)
    return await asyncio.sleep(seconds, result)


def result_of_step(context_key: str, occurrence: int) -> str:
    """Return what a step returns in the call with this idempotency key."""
    return f"part {occurrence} of {context_key}"


async def delegate(plan: str, how: How, agent: str, context: RunContext) -> str:
    """Have a child run do something."""
    return await _call_tool(context, _have_done(_here().agents[agent], plan, how))


async def _call_tool(context: RunContext, call: Coroutine[object, object, str]) -> str:
    calls = _here().world.calls
    calls.tool_called(context)
    result = await call
    _change_state(context)
    calls.tool_returned(context, result)
    return result


def _change_state(context: RunContext) -> None:
    """Change the state of the session: a key of the call's own, one of the run's, and all runs'."""
    state, key = context.session_state, context.idempotency_key
    assert state is not None
    state[f"call {key}"] = state.get(f"call {key}", 0) + 1
    state.setdefault(f"run {context.run_id}", []).append(key)
    state["last"] = key
    state.pop("gone", None)
    if len(key) % 2:
        state["gone"] = key


async def _have_done(agent: Agent, plan: str, how: How) -> str:
    run_id = cast(Plan, json.loads(plan))["id"]
    if how == "call":
        _here().world.seen.known[run_id].foreground = True
        output = await agent.arun(plan, run_id=run_id)
        return f"{output.status}[{run_id}]"
    await agent.arun(plan, run_id=run_id, background=True)
    if how == "leave":
        return f"left[{run_id}]"
    if how == "wait":
        ended = await agent.await_run(run_id)
    else:
        ended = await agent.aget_run_output(run_id)
        while ended is not None and not ended.is_terminal:
            await asyncio.sleep(1.0)
            ended = await agent.aget_run_output(run_id)
    status = RunStatus.error if ended is None else ended.status
    return f"{status}[{run_id}]"


_TOOLS = [
    FunctionTool(work),
    FunctionTool(stepped),
    FunctionTool(work, name="risky", on_interrupt="pause"),
    FunctionTool(work, name="asked", requires_confirmation=True),
    FunctionTool(work, name="grave", requires_confirmation=True, on_interrupt="pause"),
    FunctionTool(delegate),
]


def agents(database: Database) -> dict[str, Agent]:
    """Return a process's own objects of the agents.

    ``plain`` has no limits; ``scarce`` may execute two runs at once and one a user; ``patient``
    tries failed calls again; ``curious`` has other models asked after it; ``frugal`` and ``brief``
    may not do much.
    """
    common: dict[str, Any] = {"model": Planned(), "tools": _TOOLS, "db": database}
    scarce: dict[str, Any] = {
        "max_concurrent_runs": AGENT_LIMIT,
        "max_concurrent_runs_per_user": USER_LIMIT,
    }
    made = [
        Agent(id="plain", **common),
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


ASKS = frozenset({"asked", "grave"})
"""The tools that ask for a person before they are called."""

AGENT_LIMIT, USER_LIMIT = 2, 1
STEPS = 2
TOOL_CALL_LIMIT, REQUESTS, MAX_TURNS = 3, 3, 2
