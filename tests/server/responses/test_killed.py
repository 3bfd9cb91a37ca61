"""A server that is killed in mid-stream and started again: its clients read on without a gap."""

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from api import until
from deploys import Server
from elsewhere import environment_of

from kern.db.sqlite import SqliteDb
from kern.testing import ProtocolServer, Reply

SERVE = ("kern.cli.entry", "serve", "site_app:agent", "--port", "{port}", "--grace", "0.5")


class Deployed:
    """A service that can be killed, and started again.

    Attributes:
        client: the official client of the one that runs.
    """

    def __init__(self, directory: Path, environment: dict[str, str]) -> None:
        self._directory = directory
        self._environment = environment
        self.start()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self._server = Server(self._directory, "", *SERVE, environment=self._environment)
        url = f"http://127.0.0.1:{self._server.port}/v1"
        self.client = openai.OpenAI(base_url=url, api_key="none", max_retries=0, timeout=30)
        until(self._server.listens, 40)

    def end(self) -> None:
        """Have it end in good order."""
        assert asyncio.run(self._server.terminate()) == 0, self._server.log()

    def kill(self) -> None:
        """Kill it."""
        self.client.close()
        self._server.close()


@pytest.fixture
def says() -> Iterator[ProtocolServer]:
    with ProtocolServer() as server:
        yield server


@pytest.fixture
def deployed(says: ProtocolServer, sqlite_db: SqliteDb, tmp_path: Path) -> Iterator[Deployed]:
    environment = environment_of(sqlite_db, says.base_url) | {"KERN_HEARTBEAT": "1"}
    service = Deployed(tmp_path, environment)
    yield service
    service.kill()


@pytest.mark.nightly
def test_a_stream_goes_on_after_its_server_was_killed(
    deployed: Deployed, says: ProtocolServer
) -> None:
    says.script += [Reply.text("This is ", "lost.").held(1), Reply.text("This is ", "kept.")]
    seen: list[Any] = []
    stream = deployed.client.responses.create(
        model="tester", input="Go on.", background=True, stream=True
    )
    for event in stream:
        seen.append(event)
        if event.type == "response.output_text.delta":
            break
    deployed.kill()
    deployed.start()
    response_id, after = seen[0].response.id, seen[-1].sequence_number
    retrieve = deployed.client.responses.retrieve
    with retrieve(response_id, stream=True, starting_after=after) as rest:
        seen += rest
    assert [each.sequence_number for each in seen] == [*range(len(seen))]
    last = seen[-1]
    assert (last.type, last.response.output_text) == ("response.completed", "This is kept.")
    voided = last.response.output[0]
    assert (voided.status, voided.content) == ("incomplete", [])
    with retrieve(response_id, stream=True) as whole:
        again = [*whole]
    told = [(each.sequence_number, each.type) for each in again]
    assert told == [(each.sequence_number, each.type) for each in seen]
    assert again[-1].to_dict() == last.to_dict()


@pytest.mark.nightly
def test_foreground_responses_fail_as_a_shutdown_when_their_server_ends(
    deployed: Deployed, says: ProtocolServer
) -> None:
    says.script += [Reply.text("Ne", "ver.").held(1), Reply.text("Ne", "ver.").held(1)]
    whole: list[Any] = []
    events: list[Any] = []

    def ask() -> None:
        whole.append(deployed.client.responses.create(model="tester", input="Go on."))

    def stream() -> None:
        with deployed.client.responses.create(model="tester", input="Go on.", stream=True) as told:
            events.extend(told)

    threads = [threading.Thread(target=each) for each in (ask, stream)]
    for each in threads:
        each.start()
    until(lambda: len(says.requests) == 2)
    deployed.end()
    for each in threads:
        each.join(20)
    for response in (whole[0], events[-1].response):
        assert response.status == "failed"
        assert response.error.code == "server_shutdown"
    assert [each.sequence_number for each in events] == [*range(len(events))]
