"""A submit whose answer was lost on its way from the database."""

from collections.abc import Sequence

import pytest
from database_proxy import proxy_to

from kern.agent import Agent
from kern.db.postgres import PostgresDb
from kern.db.values import Accepted
from kern.errors import OutcomeUnknownError
from kern.local.postgres import EmbeddedPostgres
from kern.models.openai import OpenAIResponses
from kern.run.base import RunStatus
from kern.run.record import NewRun
from kern.testing import Reply, ResponsesServer


@pytest.fixture(autouse=True)
def _only_submit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERN_IN_PROCESS_WORKER", "0")


async def test_a_submit_that_is_not_answered_says_how_to_find_out(
    postgres: EmbeddedPostgres, table: str, model: OpenAIResponses
) -> None:
    with proxy_to(postgres) as proxy:
        async with PostgresDb(proxy.url, table, heartbeat=3) as db:
            agent = Agent("Tester", model, db=db)
            await agent.arun("First.", background=True)
            proxy.freeze()
            with pytest.raises(OutcomeUnknownError, match="submit it again with run_id='lost'"):
                await agent.arun("Hi", background=True, run_id="lost")
            proxy.thaw()
            run = await agent.arun("Hi", background=True, run_id="lost")
            assert run.status is RunStatus.pending


async def test_a_submit_of_which_only_the_answer_was_lost_is_found(
    postgres_db: PostgresDb,
    model: OpenAIResponses,
    server: ResponsesServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server.default = Reply.text("Hello.")
    agent = Agent("Tester", model, db=postgres_db)
    store = await postgres_db.store()
    submit = store._accepting._submit_all  # type: ignore[attr-defined]

    async def lose_the_answer(runs: Sequence[NewRun]) -> list[Accepted | None]:
        await submit(runs)
        raise OutcomeUnknownError("the answer was lost")

    monkeypatch.setattr(store._accepting._submits, "_write", lose_the_answer)  # type: ignore[attr-defined]
    run = await agent.arun("Hi", background=True, run_id="lost", session_id="session")
    assert run.run_id == "lost"
    assert run.status is RunStatus.pending
