"""What deploy/compose.yaml starts loses nothing when it is killed, upgraded or early."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

import pytest
from deployment import DEPLOY, commands
from openai import AsyncOpenAI
from ports import free_port

from kern.local.postgres import EmbeddedPostgres
from kern.testing import Reply, ResponsesServer

KERN = str(Path(sys.executable).with_name("kern"))


class Container:
    """A process that a service of compose.yaml describes."""

    def __init__(self, service: str, directory: Path, environment: dict[str, str]) -> None:
        """Start it."""
        self.port = free_port()
        arguments = [*commands()[f"compose {service}"]]
        arguments[arguments.index("--port") + 1] = str(self.port)
        arguments[arguments.index("--host") + 1] = "127.0.0.1"
        self._log = directory / f"{service}-{self.port}.txt"
        with self._log.open("w") as log:
            self.process = subprocess.Popen(
                [KERN, *arguments],
                cwd=directory,
                env=os.environ | environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    async def is_ready(self, ready: bool = True) -> None:
        """Wait until it says that it is, or that it is not yet."""
        async with asyncio.timeout(40):
            while True:
                with suppress(URLError, ConnectionError):
                    if await asyncio.to_thread(self._ready) is ready:
                        return
                assert self.process.poll() is None, self.log()
                await asyncio.sleep(0.05)

    async def ended(self) -> int:
        """Have it end in good order, and return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return await asyncio.to_thread(self.process.wait, 50)

    def log(self) -> str:
        """Return what it has printed."""
        return self._log.read_text()

    def _ready(self) -> bool:
        try:
            with urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=5):
                return True
        except HTTPError as error:
            with error:
                return False


Start = Callable[[str], Container]


@pytest.fixture
def own_postgres() -> Iterator[EmbeddedPostgres]:
    with tempfile.TemporaryDirectory(prefix="kern-test-") as data:
        server = EmbeddedPostgres(Path(data), free_port(), options={"fsync": "off"})
        yield server
        server.stop("immediate")


@pytest.fixture
def environment(own_postgres: EmbeddedPostgres, server: ResponsesServer) -> dict[str, str]:
    return {
        "KERN_DB_URL": own_postgres.url,
        "OPENAI_BASE_URL": server.base_url,
        "OPENAI_API_KEY": "none",
        # Who shows no sign of life for so long is lost; three runs at once in each worker.
        "KERN_HEARTBEAT": "2",
        "KERN_CONCURRENCY": "3",
    }


@pytest.fixture
def start(tmp_path: Path, environment: dict[str, str]) -> Iterator[Start]:
    shutil.copy(DEPLOY / "app.py", tmp_path)
    started: list[Container] = []

    def begin(service: str) -> Container:
        started.append(Container(service, tmp_path, environment))
        return started[-1]

    yield begin
    for each in started:
        each.process.kill()
        each.process.wait(10)


def key(environment: dict[str, str]) -> str:
    """Make a key as the documentation says."""
    done = subprocess.run(
        [KERN, "keys", "create", "--user", "ada"],
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    return done.stdout.split()[-1]


@pytest.mark.nightly
@pytest.mark.timeout(240)
async def test_a_worker_is_killed_the_other_one_upgraded_and_nothing_is_lost(
    own_postgres: EmbeddedPostgres,
    server: ResponsesServer,
    environment: dict[str, str],
    start: Start,
) -> None:
    server.default = lambda _: Reply.text("It is", " old.").slow(delay=1)
    service, killed, old = (start(each) for each in ("service", "worker", "worker"))
    await asyncio.gather(*(each.is_ready(False) for each in (service, killed, old)))
    await asyncio.to_thread(own_postgres.start)
    await asyncio.gather(*(each.is_ready() for each in (service, killed, old)))

    client = AsyncOpenAI(base_url=f"http://127.0.0.1:{service.port}/v1", api_key=key(environment))
    ids = [
        (await client.responses.create(model="researcher", input=each, background=True)).id
        for each in ("tea", "rain", "snow", "bread", "a bridge", "the sea")
    ]
    await server.wait_for_requests(6)  # three of each worker's
    killed.process.kill()
    new = start("worker")
    await new.is_ready()
    assert await old.ended() == 0
    assert await service.ended() == 0
    await client.close()

    service = start("service")
    await service.is_ready()
    url = f"http://127.0.0.1:{service.port}/v1"
    async with AsyncOpenAI(base_url=url, api_key=client.api_key) as client, asyncio.timeout(40):
        for each in ids:
            while (found := await client.responses.retrieve(each)).status != "completed":
                assert found.status in ("queued", "in_progress"), found
                await asyncio.sleep(0.05)
            assert found.output_text == "It is old."
    taken_over = [each for each in (old, new) if "attempt 2" in each.log()]
    assert taken_over, old.log() + new.log()
