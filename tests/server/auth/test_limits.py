"""A request may send so much, and a user ask for so much; beyond that it is 413 and 429."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from fastapi import Request
from probes import agent_of, asking, probed
from typing_extensions import override

from kern.db.database import Database
from kern.errors import ConfigurationError
from kern.server.caller import Authenticator, Caller, caller_of
from kern.server.limits import Limits, Queue
from kern.server.problems import RequestError


class ByName(Authenticator):
    """Takes the user's name for the user."""

    @override
    async def authenticate(self, request: Request) -> Caller:
        return Caller(request.headers["user"])


def refused(response: httpx.Response, status: int, code: str) -> None:
    assert (response.status_code, response.json().get("code")) == (status, code)


async def chunks(number: int) -> AsyncIterator[bytes]:
    for _ in range(number):
        yield b"x" * 100


async def test_a_body_above_the_limit_is_refused_whether_it_says_its_length_or_not() -> None:
    async with asking(probed(limits=Limits(body=1000))) as client:
        for path in ("/v1/probe/raw", "/v1/probe/body"):
            refused(await client.post(path, content=b"x" * 1001), 413, "request_too_large")
            refused(await client.post(path, content=chunks(11)), 413, "request_too_large")
        assert (await client.post("/v1/probe/raw", content=b"x" * 1000)).text == "1000"
        assert (await client.post("/v1/probe/raw", content=chunks(10))).text == "1000"
        response = await client.post("/v1/responses", content=b"x" * 1001)
        assert response.json()["error"]["code"] == "request_too_large"


async def test_who_sends_too_many_requests_is_told_when_to_send_the_next() -> None:
    # Not a minute: where its window ends meanwhile, the earlier requests count a little less.
    app = probed(auth=ByName(), limits=Limits(rate="3/day"))
    async with asking(app, {"User": "ada"}) as client:
        for _ in range(3):
            assert (await client.get("/v1/probe/who")).status_code == 200
        response = await client.get("/v1/probe/who")
        refused(response, 429, "rate_limit_exceeded")
        assert 1 <= int(response.headers["retry-after"]) <= 86_400
        other = await client.get("/v1/probe/who", headers={"User": "bob"})
        assert other.status_code == 200


async def test_a_request_is_counted_once_however_often_its_caller_is_asked_for() -> None:
    app = probed(auth=ByName(), limits=Limits(rate="2/day"))

    @app.get("/v1/probe/twice")
    async def twice(request: Request) -> None:
        service = app.state.kern
        assert service.streams.limit == Limits().streams
        assert await caller_of(request) is await caller_of(request)

    async with asking(app, {"User": "ada"}) as client:
        for _ in range(2):
            assert (await client.get("/v1/probe/twice")).status_code == 200


async def test_a_user_has_so_many_streams_open_and_so_many_runs_waiting() -> None:
    limits = Limits(streams=1, queued=2)
    async with asking(probed(auth=ByName(), limits=limits), {"User": "ada"}) as client:
        new = {"agent": "assistant", "input": "Hi"}
        run_id = (await client.post("/v1/runs", json=new)).json()["run_id"]
        events = f"/v1/runs/{run_id}/events"
        async with client.stream("GET", events) as stream:
            assert stream.status_code == 200
            response = await client.get(events)
            refused(response, 429, "too_many_streams")
            assert int(response.headers["retry-after"]) >= 1
        body = {"model": "assistant", "input": "Hi", "background": True}
        assert (await client.post("/v1/responses", json=body)).status_code == 200
        response = await client.post("/v1/responses", json=body)
        assert response.status_code == 429
        assert response.json()["error"]["code"] == "queue_full"
        assert int(response.headers["retry-after"]) >= 1
        refused(await client.post("/v1/runs", json=new), 429, "queue_full")
        other = await client.post("/v1/responses", json=body, headers={"User": "bob"})
        assert other.status_code == 200
        async with asyncio.timeout(10):
            while True:
                async with client.stream("GET", events) as stream:
                    if stream.status_code == 200:
                        break
                await asyncio.sleep(0.02)


async def test_a_user_whose_runs_wait_is_refused_another_until_one_has_begun(db: Database) -> None:
    agent = agent_of(db)
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    queue = Queue(2)
    for _ in range(2):
        await queue.count(db, "ada")
        await agent.arun("Hi", background=True, user_id="ada", run_at=tomorrow)
    with pytest.raises(RequestError, match="2 of your runs wait") as caught:
        await queue.count(db, "ada")
    assert (caught.value.status, caught.value.headers) == (429, {"Retry-After": "1"})
    await queue.count(db, "bob")
    await queue.count(db, None)
    runs = await agent.alist_runs(user_id="ada")
    await agent.acancel_run(runs[0].run_id)
    await queue.count(db, "ada")


@pytest.mark.parametrize(
    "wrong",
    [{"body": 0}, {"body": None}, {"rate": "often"}, {"streams": -1}, {"queued": 1.5}],
)
def test_a_limit_that_cannot_be_used_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        Limits(**wrong)  # type: ignore[arg-type] # that is the test
