"""Calls of agents: answers, receipts, runs that go on, and whose they are."""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import Future
from typing import Any

import pytest
from mcp.client import Client
from mcp.types import CallToolResult
from mcp_client import about, over_http, text
from runs_api import Api, ok

from kern.run.identity import new_id
from kern.server.mcp import following

KEY = "kern/idempotency-key"


@pytest.fixture(params=["auto", "legacy"])
async def ada(api: Api, request: pytest.FixtureRequest) -> AsyncIterator[Client]:
    """A user's client, of each protocol in turn."""
    opened: asyncio.Queue[Client] = asyncio.Queue()
    ending = asyncio.Event()

    async def own() -> None:  # It is closed by the task that has opened it.
        async with over_http(api.url, mode=request.param) as client:
            opened.put_nowait(client)
            await ending.wait()

    owner = asyncio.create_task(own())
    yield await asyncio.wait_for(opened.get(), 20)
    ending.set()
    await owner


def held(api: Api) -> str:
    """Return an input that has the agent ``held`` wait until its gate is opened."""
    name = new_id()
    api.gates[name] = Future()
    return name


async def test_an_answer_says_which_run_it_is(api: Api, ada: Client) -> None:
    result = await ada.call_tool("echo", {"input": "Hi", "session_id": "names"})
    assert (text(result), result.is_error) == ("You said: Hi", False)
    run = about(result)
    assert run["status"] == "COMPLETED"
    assert (run["session_id"], run["content"]) == ("names", "You said: Hi")
    stored = ok(api.as_("ada").get(f"/v1/runs/{run['run_id']}"))
    assert (stored["user_id"], stored["content"]) == ("ada", "You said: Hi")
    again = await ada.call_tool("get_run", {"run_id": run["run_id"]})
    assert (text(again), about(again)) == (text(result), run)


async def running(client: Client, run_id: str) -> None:
    """Wait until a run executes."""
    looked = {"run_id": run_id, "wait": 0}
    async with asyncio.timeout(20):
        while about(await client.call_tool("get_run", looked))["status"] != "RUNNING":
            pass


async def test_a_call_that_takes_longer_returns_a_receipt(api: Api, ada: Client) -> None:
    name = held(api)
    receipt = await ada.call_tool("held", {"input": name})
    run_id = about(receipt)["run_id"]
    assert not receipt.is_error
    assert about(receipt)["status"] in ("PENDING", "RUNNING")
    assert run_id in text(receipt)
    await running(ada, run_id)
    waiting = asyncio.create_task(ada.call_tool("get_run", {"run_id": run_id, "wait": 30}))
    await asyncio.sleep(0)
    api.gates[name].set_result(None)
    assert text(await waiting) == "Released."


async def test_a_run_is_cancelled_once_and_for_all(api: Api, ada: Client) -> None:
    run_id = about(await ada.call_tool("held", {"input": held(api)}))["run_id"]
    for _ in range(2):
        result = await ada.call_tool("cancel_run", {"run_id": run_id})
        assert text(result) == f"The run {run_id} is cancelled."
        assert about(result)["status"] == "CANCELLED"
    result = await ada.call_tool("get_run", {"run_id": run_id})
    assert (result.is_error, about(result)["status"]) == (True, "CANCELLED")
    done = about(await ada.call_tool("echo", {"input": "Hi"}))["run_id"]
    refused = await ada.call_tool("cancel_run", {"run_id": done})
    assert (refused.is_error, about(refused)["code"]) == (True, "wrong_status")


async def test_what_went_wrong_is_an_error_that_says_what(ada: Client) -> None:
    result = await ada.call_tool("hasty", {"input": "Quick!"})
    assert result.is_error
    assert about(result)["status"] == "ERROR"
    assert "has failed" in text(result)


async def test_another_users_run_is_not_found(api: Api, ada: Client) -> None:
    name = held(api)
    run_id = about(await ada.call_tool("held", {"input": name}))["run_id"]
    done = about(await ada.call_tool("echo", {"input": "A secret."}))["run_id"]
    async with over_http(api.url, "bob;runs;") as bob:
        for tool in ("get_run", "cancel_run"):
            for each in (run_id, done):
                result = await bob.call_tool(tool, {"run_id": each})
                assert (result.is_error, about(result)["code"]) == (True, "run_not_found")
                assert text(result) == f"There is no run {each!r}."
        stolen = await bob.session.call_tool("held", {"input": "x"}, request_state=run_id)
        assert isinstance(stolen, CallToolResult)
        assert about(stolen)["code"] == "run_not_found"
    async with over_http(api.url, "eve;runs;echo") as eve:  # Hers, but of an agent out of reach.
        result = await eve.call_tool("get_run", {"run_id": run_id})
        assert about(result)["code"] == "run_not_found"
    async with over_http(api.url, "root;runs,read:all;") as root:
        await running(root, run_id)
    api.gates[name].set_result(None)


async def test_a_call_with_a_key_is_one_run_however_often_it_is_made(api: Api, ada: Client) -> None:
    meta: Any = {KEY: new_id()}
    given = {"input": "Hi", "session_id": new_id()}
    first, second = await asyncio.gather(
        ada.call_tool("echo", given, meta=meta), ada.call_tool("echo", given, meta=meta)
    )
    assert about(first) == about(second)
    third = await ada.call_tool("echo", given, meta=meta)
    assert about(third)["run_id"] == about(first)["run_id"]
    other = await ada.call_tool("echo", {"input": "Ho"}, meta=meta)
    assert about(other)["code"] == "idempotency_key_reused"
    for key in ("", "\n", "x" * 256, 5):
        bad: Any = {KEY: key}
        assert (await ada.call_tool("echo", given, meta=bad)).is_error
    async with over_http(api.url, "bob;runs;") as bob:  # It is another user's key.
        result = await bob.call_tool("echo", given, meta=meta)
        assert about(result)["run_id"] != about(first)["run_id"]


async def test_a_client_that_leaves_finds_its_run_again(api: Api) -> None:
    name, meta = held(api), {KEY: new_id()}
    # Those of other tests may not have ended yet.
    earlier = {each["run_id"] for each in ok(api.as_("ada").get("/v1/runs?agent=held"))["data"]}
    async with over_http(api.url) as client:
        call = client.call_tool("held", {"input": name}, meta=meta)  # type: ignore[arg-type]
        waiting = asyncio.create_task(call)
        found: list[dict[str, Any]] = []
        async with asyncio.timeout(30):
            while not found:  # nobody tells the test
                await asyncio.sleep(0.02)
                running = ok(api.as_("ada").get("/v1/runs?agent=held&status=RUNNING"))["data"]
                found = [each for each in running if each["run_id"] not in earlier]
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
    api.gates[name].set_result(None)
    async with over_http(api.url) as client:
        result = await client.call_tool("held", {"input": name}, meta=meta)  # type: ignore[arg-type]
        assert text(result) == "Released."
        assert about(result)["run_id"] in [each["run_id"] for each in found]


async def test_progress_is_told_to_who_wants_it(api: Api, ada: Client) -> None:
    told: list[tuple[float, str | None]] = []

    async def tell(progress: float, total: float | None = None, message: str | None = None) -> None:
        told.append((progress, message))

    result = await ada.call_tool("story", {"input": "Go"}, progress_callback=tell)
    assert "Once 4." in text(result)
    numbers = [number for number, _ in told]
    assert numbers == sorted({*numbers}), "they only grow"
    assert told[0][1] == f"story has begun: run {about(result)['run_id']}"


async def test_who_wants_progress_hears_that_a_run_is_still_at_work(
    api: Api, ada: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "_BEAT", 0.05)
    heard = asyncio.Event()

    async def tell(progress: float, total: float | None = None, message: str | None = None) -> None:
        if message == "held is still at work":
            heard.set()

    name = held(api)
    run_id = about(await ada.call_tool("held", {"input": name}))["run_id"]
    asked = {"run_id": run_id, "wait": 30}
    waiting = asyncio.create_task(ada.call_tool("get_run", asked, progress_callback=tell))
    async with asyncio.timeout(10):
        await heard.wait()
    api.gates[name].set_result(None)
    assert text(await waiting) == "Released."


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("echo", {}),
        ("echo", {"input": ""}),
        ("echo", {"input": 5}),
        ("echo", {"input": ["Hi"]}),
        ("echo", {"input": "Hi", "webhook": "https://example.com"}),
        ("echo", {"input": "Hi", "session_id": "a/b"}),
        ("echo", {"input": "Hi", "session_id": "\0"}),
        ("echo", {"input": "Hi", "session_id": "x" * 256}),
        ("echo", {"input": "Hi", "user_id": "bob"}),
        ("get_run", {}),
        ("get_run", {"run_id": ""}),
        ("get_run", {"run_id": "\0"}),
        ("get_run", {"run_id": "unknown"}),
        ("get_run", {"run_id": "x", "wait": -1}),
        ("get_run", {"run_id": "x", "wait": 1e9}),
        ("get_run", {"run_id": "x", "wait": "soon"}),
        ("cancel_run", {"run_id": {"$ne": 1}}),
    ],
)
async def test_arguments_that_do_not_fit_are_told_to_the_model(
    ada: Client, tool: str, arguments: dict[str, Any]
) -> None:
    result = await ada.call_tool(tool, arguments)
    assert result.is_error
    assert about(result)["code"] in ("invalid_input", "run_not_found")
    assert len(text(result)) < 500


async def test_odd_texts_come_through(ada: Client) -> None:
    for said in ("\x00\x1b[31m", "ʘ‿ʘ", "x" * 500_000, "</tool>{}"):
        result = await ada.call_tool("echo", {"input": said})
        assert text(result) == f"You said: {said}", said[:20]
