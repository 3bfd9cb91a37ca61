"""Parts of a page are sent when they have changed, rendered once for all who look at the same."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from itertools import pairwise
from random import Random

import httpx
import pytest
from api import until
from fastapi import Request, Response
from served import served
from strangers import Stranger

from kern.agent import Agent
from kern.db.sqlite import SqliteDb
from kern.errors import DatabaseUnavailableError
from kern.server.app import application
from kern.server.auth.keys import Keys
from kern.server.limits import Limits
from kern.server.service import Service
from kern.server.ui.live import every, live
from kern.server.ui.pages import add_pages
from kern.server.ui.route import pages_router
from kern.server.ui.viewing import Viewing
from kern.testing import FunctionModel
from tests.simulation.loop import Universe


class Probe:
    """What a page shows, and how often it was rendered."""

    def __init__(self) -> None:
        self.shown = {"first": "1", "second": "1"}
        self.renderings = 0
        self.is_away = False

    async def render(self, csrf: str) -> Mapping[str, str]:
        self.renderings += 1
        if self.is_away:
            raise DatabaseUnavailableError("It is away.")
        await asyncio.sleep(0.01)
        return {name: f'<p id="{name}">{text}\n{csrf}</p>' for name, text in self.shown.items()}


async def never() -> AsyncIterator[None]:
    return
    yield


@pytest.fixture
def probe() -> Probe:
    return Probe()


@pytest.fixture
def where(keyed: SqliteDb, probe: Probe) -> Iterator[str]:
    agent = Agent("clerk", FunctionModel(lambda _: ""), db=keyed)
    service = Service([agent], Keys(keyed, kept=0.0), Limits(streams=3))
    app = application(service, worker=False, grace=0)
    router = pages_router()

    @router.get("/probe/live")
    async def probed(request: Request, viewer: Viewing) -> Response:
        return live(request, viewer, lambda: probe.render(viewer.csrf), every(0.05))

    @router.get("/ended/live")
    async def ended(request: Request, viewer: Viewing) -> Response:
        return live(request, viewer, lambda: probe.render(viewer.csrf), never())

    app.include_router(router)
    add_pages(app)
    with served(app) as url:
        yield url


class Reader:
    """Reads the stream of the page on a thread of its own."""

    def __init__(self, browser: Stranger) -> None:
        self._browser = browser
        self.text = ""
        self.status = 0
        self.has_ended = False
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        try:
            with self._browser.http.stream("GET", "/ui/probe/live") as response:
                self.status = response.status_code
                for each in response.iter_text():
                    self.text += each
        except httpx.ReadError:
            return
        self.has_ended = True

    def join(self) -> None:
        self._thread.join(10)
        assert not self._thread.is_alive()


@pytest.fixture
def readers(where: str, keyed: SqliteDb) -> Iterator[list[Stranger]]:
    found = [Stranger(where) for _ in range(3)]
    for each in found:
        each.sign_in(keyed.create_key("ada")[1])
    yield found
    for each in found:
        each.close()


def partials(text: str, name: str) -> int:
    return text.count(f'data: <hx-partial hx-target="#{name}" hx-swap="outerMorph">')


def ended(keyed: SqliteDb, *readers: Reader) -> None:
    """End streams by revoking every key."""
    for key in keyed.list_keys():
        keyed.revoke_key(key.key_id)
    for each in readers:
        each.join()


def test_a_part_is_sent_when_it_has_changed(
    readers: list[Stranger], probe: Probe, keyed: SqliteDb
) -> None:
    reader = Reader(readers[0])
    until(lambda: "\n\n" in reader.text)
    assert reader.status == 200
    assert (partials(reader.text, "first"), partials(reader.text, "second")) == (1, 1)
    before = probe.renderings
    until(lambda: probe.renderings > before + 3)
    assert reader.text.count("\n\n") == 1
    probe.shown["second"] = "2"
    until(lambda: reader.text.count("\n\n") == 2)
    ended(keyed, reader)
    assert (partials(reader.text, "first"), partials(reader.text, "second")) == (1, 2)
    assert all(
        line.startswith(("data:", "event: kern:")) for line in reader.text.split("\n") if line
    )


def test_who_look_at_the_same_share_a_rendering_and_have_forms_of_their_own(
    readers: list[Stranger], probe: Probe, keyed: SqliteDb
) -> None:
    open_ = [Reader(each) for each in readers]
    until(lambda: all(each.text for each in open_))
    before, began = probe.renderings, time.monotonic()
    for number in range(10):
        probe.shown["first"] = f"now {number}"
        until(lambda: all(f"now {number}\n" in each.text for each in open_))  # noqa: B023
    spent, ticks = probe.renderings - before, (time.monotonic() - began) / 0.05
    ended(keyed, *open_)
    assert spent <= 1.5 * ticks + 3, "one a tick, whoever looks"
    tokens = {
        line
        for each in open_
        for line in each.text.split("\n")
        if line.endswith("</p></hx-partial>")
    }
    assert len(tokens) == 3


def test_who_may_not_look_any_more_is_sent_nothing_more(
    readers: list[Stranger], probe: Probe, keyed: SqliteDb
) -> None:
    reader = Reader(readers[0])
    until(lambda: bool(reader.text))
    ended(keyed, reader)
    assert reader.has_ended
    assert reader.text.endswith("\n\nevent: kern:reload\ndata:\n\n")
    probe.shown["first"] = "secret"
    assert "secret" not in reader.text


def test_a_stream_ends_in_good_order_where_the_database_is_away(
    readers: list[Stranger], probe: Probe
) -> None:
    reader = Reader(readers[0])
    until(lambda: bool(reader.text))
    probe.is_away = True
    reader.join()
    assert reader.has_ended
    assert "event:" not in reader.text


def test_a_user_has_no_more_streams_open_than_the_limit(
    readers: list[Stranger], keyed: SqliteDb
) -> None:
    open_ = [Reader(readers[0]) for _ in range(3)]
    until(lambda: all(each.text for each in open_))
    refused = readers[1].http.get("/ui/probe/live")
    assert refused.status_code == 429
    assert refused.headers["retry-after"] == "5"
    ended(keyed, *open_)


def test_where_nothing_changes_any_more_the_browser_is_told_not_to_ask_again(
    readers: list[Stranger],
) -> None:
    response = readers[0].http.get("/ui/ended/live")
    assert response.text.endswith("\n\nevent: kern:end\ndata:\n\n")
    assert partials(response.text, "first") == 1


def test_the_clock_strikes_for_all_at_once_and_leaves_half_of_the_time() -> None:
    async def strikes(busy: float) -> list[float]:
        found: list[float] = []
        async for _ in every(0.05):
            found.append(asyncio.get_running_loop().time())
            if len(found) == 3:
                break
            await asyncio.sleep(busy)
        return found

    async def all_strikes() -> list[list[float]]:
        return [*await asyncio.gather(strikes(0.0), strikes(0.0), strikes(0.12))]

    idle, other, busy = Universe(Random(1)).run(all_strikes())
    assert idle == pytest.approx(other, abs=0.001)
    assert all(later - earlier >= 0.24 for earlier, later in pairwise(busy))
