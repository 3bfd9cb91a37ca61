"""Promise 4: what a model has answered is not asked for again, by whichever model that comes after.

A process dies between the answer and a secondary call, in the middle of one, and between two of
them; another one goes on.
"""

import asyncio
import signal

import pytest
from elsewhere import Elsewhere
from leases import expire
from pydantic import BaseModel

from kern.agent import Agent
from kern.db.database import Database
from kern.dispatch.opening import open_runtime
from kern.models.openai import OpenAIResponses
from kern.run.base import RunStatus
from kern.testing import Reply, ResponsesServer

BODY = """
from kern.models.base import Model
import signal

class Deadly(OpenAIResponses):
    async def respond(self, request):
        os.kill(os.getpid(), signal.SIGKILL)

schema = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
model = OpenAIResponses("test-model", max_retries=0)
agent = Agent("Tester", model, db=db, output_schema=schema, KEYWORDS)
await agent.arun("Which city?", background=True, run_id="run")
await hear()
"""

PARSED = 'parser_model=OpenAIResponses("parser", max_retries=0)'


class City(BaseModel):
    name: str


@pytest.fixture
def heir(shared_db: Database, server: ResponsesServer) -> Agent[dict[str, object], City]:
    """The same agent in the process of the test."""
    made = {"base_url": server.base_url, "api_key": "sk-test", "max_retries": 0}
    return Agent(
        "Tester",
        OpenAIResponses("test-model", **made),  # type: ignore[arg-type] # as they are
        db=shared_db,
        output_schema=City,
        parser_model=OpenAIResponses("parser", **made),  # type: ignore[arg-type]
        followups=True,
        followup_model=OpenAIResponses("more", **made),  # type: ignore[arg-type]
    )


async def _carried_on(agent: Agent[dict[str, object], City], db: Database) -> None:
    await expire(db, "run")
    (await open_runtime(db)).serve(agent)
    run = await agent.await_run("run", timeout=20)
    assert run is not None
    assert (run.status, run.content) == (RunStatus.completed, City(name="Bonn"))
    assert run.followups == ["Why?", "How?", "When?"]


def _asked(server: ResponsesServer) -> list[object]:
    return [each.body["model"] for each in server.requests]


ANSWER, PARSED_ANSWER = Reply.text("It is Bonn."), Reply.text('{"name": "Bonn"}')
SUGGESTED = Reply.text('{"followups": ["Why?", "How?", "When?"]}')


async def test_between_the_answer_and_a_secondary_call(
    heir: Agent[dict[str, object], City],
    shared_db: Database,
    server: ResponsesServer,
    elsewhere: Elsewhere,
) -> None:
    server.script += [ANSWER, PARSED_ANSWER, SUGGESTED]
    body = BODY.replace("KEYWORDS", 'parser_model=Deadly("parser"), followups=True')
    await elsewhere(body, KERN_IN_PROCESS_WORKER="1").ended()
    assert _asked(server) == ["test-model"]
    await _carried_on(heir, shared_db)
    assert _asked(server) == ["test-model", "parser", "more"]


async def test_in_the_middle_of_a_secondary_call(
    heir: Agent[dict[str, object], City],
    shared_db: Database,
    server: ResponsesServer,
    elsewhere: Elsewhere,
) -> None:
    held = PARSED_ANSWER.held()
    server.script += [ANSWER, held, PARSED_ANSWER, SUGGESTED]
    process = elsewhere(BODY.replace("KEYWORDS", PARSED), KERN_IN_PROCESS_WORKER="1")
    async with asyncio.timeout(20):
        while len(server.requests) < 2:  # noqa: ASYNC110 # the server tells nobody
            await asyncio.sleep(0.01)
    process.send(signal.SIGKILL)
    await process.ended()
    held.release()
    await _carried_on(heir, shared_db)
    assert _asked(server) == ["test-model", "parser", "parser", "more"]


async def test_between_two_secondary_calls(
    heir: Agent[dict[str, object], City],
    shared_db: Database,
    server: ResponsesServer,
    elsewhere: Elsewhere,
) -> None:
    server.script += [ANSWER, PARSED_ANSWER, SUGGESTED]
    keywords = f'{PARSED}, followups=True, followup_model=Deadly("more")'
    process = elsewhere(BODY.replace("KEYWORDS", keywords), KERN_IN_PROCESS_WORKER="1")
    await process.ended()
    assert _asked(server) == ["test-model", "parser"]
    await _carried_on(heir, shared_db)
    assert _asked(server) == ["test-model", "parser", "more"]


async def test_in_the_middle_of_a_repair(
    heir: Agent[dict[str, object], City],
    shared_db: Database,
    server: ResponsesServer,
    elsewhere: Elsewhere,
) -> None:
    held = PARSED_ANSWER.held()
    server.script += [ANSWER, held, PARSED_ANSWER, SUGGESTED]
    process = elsewhere(BODY.replace("KEYWORDS", ""), KERN_IN_PROCESS_WORKER="1")
    async with asyncio.timeout(20):
        while len(server.requests) < 2:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    process.send(signal.SIGKILL)
    await process.ended()
    held.release()
    heir.parser_model = None
    await _carried_on(heir, shared_db)
    assert _asked(server) == ["test-model", "test-model", "test-model", "more"]
    first, _, again = (each.body["input"] for each in server.requests[:3])
    assert len(first) == 1
    assert "does not fit" in str(again[-1])
