"""What the HTTP service carries, and what an event costs beside a bare endpoint.

    python bench/service.py postgresql://ai:ai@localhost:5532/ai [--streams 500] [--rate 200]
        [--seconds 60] [--workers 1] [--json FILE] [--only responses|events|load]

Everything is in the schema ``kern_service``, which is dropped before and after. The submits are
sent by ``hey`` (Debian has it), the streams read by a client of this file, which looks at every
sequence number. Model, PostgreSQL, clients and service share the machine.
"""

import argparse
import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median, quantiles
from typing import TypeAlias

import aiohttp
import asyncpg
import psutil
from service_apps import SCHEMA, TABLE

HERE = Path(__file__).parent
Ask: TypeAlias = "Callable[[], Awaitable[Read]]"

_LISTENS = re.compile(r"http://127\.0\.0\.1:(\d+)")
_ENDS = {"response.completed", "response.failed", "response.incomplete", "response.cancelled"}


@dataclass
class Read:
    """What a stream has brought.

    Attributes:
        pieces: its events as they came, if they were kept.
        events: how many there were.
        first: seconds until the first one.
        last: the type of the last one.
    """

    pieces: list[str] = field(default_factory=list)
    events: int = 0
    first: float = 0.0
    last: str = ""


class Service:
    """A process that serves, with what it uses of the processor and the memory."""

    def __init__(self, process: "subprocess.Popen[str]", url: str) -> None:
        """Watch a process that has said where it listens."""
        self.url = url
        self._process = psutil.Process(process.pid)

    @property
    def _all(self) -> list[psutil.Process]:
        return [self._process, *self._process.children(recursive=True)]

    @property
    def processor(self) -> float:
        """Seconds of processor time so far, its processes included."""
        all_times = [each.cpu_times() for each in self._all]
        return sum(times.user + times.system for times in all_times)

    @property
    def memory(self) -> int:
        """Bytes in memory."""
        return int(self._process.memory_info().rss)


@contextmanager
def serving(*command: str, **environment: str) -> Iterator[Service]:
    """Have a command serve on a free port."""
    with subprocess.Popen(
        [sys.executable, "-m", *command],
        cwd=HERE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | environment,
    ) as process:
        assert process.stdout is not None
        found = None
        for line in process.stdout:
            if (found := _LISTENS.search(line)) is not None:
                break
            print(line, end="", file=sys.stderr)
        assert found is not None, "it listens"
        draining = subprocess.Popen(["cat"], stdin=process.stdout, stdout=subprocess.DEVNULL)
        try:
            yield Service(process, f"http://127.0.0.1:{found[1]}")
        finally:
            process.terminate()
            process.wait(30)
            draining.wait(10)


def endpoint(name: str, pieces: Path) -> "contextmanager[Service]":
    """Have an endpoint of ``service_apps`` serve pieces."""
    command = ("uvicorn", "--port", "0", "--no-access-log", f"service_apps:{name}")
    return serving(*command, SERVICE_PIECES=str(pieces))


async def read(response: aiohttp.ClientResponse, began: float, *, keep: bool = False) -> Read:
    """Read a stream to its end, and look that no event is missing."""
    found = Read()
    event: list[str] = []
    async for raw in response.content:
        line = raw.decode()
        event.append(line)
        if line.startswith("data: ") and line[6] == "{":
            data = json.loads(line[6:])
            if (number := data.get("sequence_number")) is not None:
                assert number == found.events, f"{number} came after {found.events - 1}"
            found.last = data.get("type", "")
            found.events += 1
            if found.events == 1:
                found.first = time.perf_counter() - began
        if line == "\n":
            if keep:
                found.pieces.append("".join(event))
            event.clear()
    return found


async def ask(
    http: aiohttp.ClientSession,
    url: str,
    opened: asyncio.Semaphore | None = None,
    *,
    keep: bool = False,
    **body: object,
) -> Read:
    """Create a streamed response and read it; count that it has begun."""
    began = time.perf_counter()
    request = {"model": "service", "stream": True, **body}
    async with http.post(f"{url}/v1/responses", json=request) as response:
        assert response.status == 200, await response.text()
        if opened is not None:
            opened.release()
        return await read(response, began, keep=keep)


async def get(http: aiohttp.ClientSession, url: str) -> Read:
    """Read the stream of an endpoint."""
    began = time.perf_counter()
    async with http.get(f"{url}/stream") as response:
        return await read(response, began)


@asynccontextmanager
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    """Open a client without limits."""
    connector = aiohttp.TCPConnector(limit=0)
    timeout = aiohttp.ClientTimeout(total=None, sock_read=60)
    async with aiohttp.ClientSession(
        connector=connector, timeout=timeout, read_bufsize=2**20
    ) as http:
        yield http


async def compare_responses(pieces: Path) -> dict[str, object]:
    """Measure what a piece and an idle stream cost with each kind of response."""
    found: dict[str, object] = {}
    for name in ("starlette", "sse_starlette", "kern"):
        with endpoint(name, pieces) as service:
            async with session() as http:
                await get(http, service.url)
                rounds = []
                for _ in range(9):
                    before = service.processor
                    reads = await asyncio.gather(*(get(http, service.url) for _ in range(20)))
                    rounds.append((service.processor - before) / sum(each.events for each in reads))
                each = median(rounds)
                memory, opened = service.memory, []
                for _ in range(1000):
                    response = await http.get(f"{service.url}/idle")
                    await response.content.readline()
                    opened.append(response)
                held = (service.memory - memory) / len(opened)
                before = service.processor
                await asyncio.sleep(20)
                waiting = (service.processor - before) / 20
                for response in opened:
                    response.close()
        print(
            f"{name:<14} {1e6 * each:6.1f} us a piece, {held / 1024:6.1f} kB an idle stream, "
            f"{1000 * waiting:6.2f} ms a second for 1,000 of them"
        )
        found[name] = {"piece": each, "idle": held, "waiting": waiting}
    return found


async def compare_events(service: Service, pieces: Path) -> dict[str, object]:
    """Measure the first event, and an event, of the service and of bare endpoints."""
    found: dict[str, object] = {}
    # Pieces of a background run that come within 30 ms are one event.
    order, long, slow = "deltas 1, pause 0", "deltas 1000, pause 0", "deltas 100, pause 0.05"
    async with session() as http:
        for name, body, text in (
            ("foreground", {}, long),
            ("background", {"background": True}, slow),
        ):
            first = partial(ask, http, service.url, input=order, **body)
            many = partial(ask, http, service.url, input=text, **body)
            found[name] = await _measure(name, service, first, many)
        for name in ("starlette", "kern"):
            figures = []
            for each in (order, long):
                whole = await ask(http, service.url, input=each, keep=True)
                await asyncio.to_thread(pieces.write_text, json.dumps(whole.pieces))
                with endpoint(name, pieces) as bare:
                    read_one = partial(get, http, bare.url)
                    figures.append(await _measure(name, bare, read_one, read_one))
            found[name] = {"first": figures[0], "event": figures[1]}
    return found


async def _measure(
    name: str, service: Service, first: Ask, many: Ask, times: int = 200
) -> dict[str, float]:
    await first()
    firsts = [(await first()).first for _ in range(times)]
    before = service.processor
    reads = await asyncio.gather(*(many() for _ in range(20)))
    events = sum(read.events for read in reads)
    each = (service.processor - before) / events
    late = quantiles(firsts, n=100)[98]
    print(
        f"{name:<14} first event {1000 * median(firsts):6.2f} ms (99 %: {1000 * late:.2f} ms), "
        f"{1e6 * each:6.1f} us of processor time an event, {events / len(reads):.0f} a stream"
    )
    return {"first": median(firsts), "late": late, "event": each, "events": events / len(reads)}


async def carry(
    service: Service, url: str, streams: int, rate: int, seconds: int
) -> dict[str, object]:
    """Keep streams open while runs are submitted, and look that nothing is lost."""
    hey = shutil.which("hey")
    assert hey is not None, "apt-get install hey"
    # Not all of them at the same moments.
    orders = [
        f"deltas {seconds // 2 + 10}, pause {1.5 + number / streams:.3f}"
        for number in range(streams)
    ]
    body = json.dumps({"model": "service", "input": "deltas 1, pause 0", "background": True})
    async with session() as http:
        opened = asyncio.Semaphore(0)
        reading = [
            asyncio.create_task(ask(http, service.url, opened, input=order, background=True))
            for order in orders
        ]
        for _ in reading:
            await opened.acquire()
        before, began = service.processor, time.monotonic()
        submitting = await asyncio.create_subprocess_exec(
            *(hey, "-z", f"{seconds}s", "-c", "50", "-q", str(rate / 50), "-m", "POST"),
            *("-T", "application/json", "-d", body, f"{service.url}/v1/responses"),
            stdout=subprocess.PIPE,
        )
        said, _ = await submitting.communicate()
        took, processor = time.monotonic() - began, service.processor - before
        still = sum(not each.done() for each in reading)
        reads = await asyncio.gather(*reading)
    print(said.decode())
    asked = int(re.findall(r"\[200\]\t(\d+) responses", said.decode())[0])
    connection = await asyncpg.connect(url)
    table = f'{SCHEMA}."{TABLE}_runs"'
    async with asyncio.timeout(60):
        while await connection.fetchval(  # noqa: ASYNC110 # it is the database's
            f"SELECT count(*) FROM {table} WHERE status IN ('PENDING', 'RUNNING')"
        ):
            await asyncio.sleep(0.5)
    rows = await connection.fetch(f"SELECT status, count(*) FROM {table} GROUP BY status")
    states = {row["status"]: row["count"] for row in rows}
    await connection.close()
    ends = {read.last for read in reads}
    events = sum(read.events for read in reads)
    print(
        f"{streams} streams, {still} open to the end, {events:,} events without a gap, "
        f"ends {ends}; {asked:,} submits in {took:.0f} s; runs {states}; "
        f"{processor / took:.2f} cores"
    )
    return {
        "streams": streams,
        "open": still,
        "events": events,
        "submits": asked,
        "seconds": took,
        "runs": states,
        "cores": processor / took,
        "hey": said.decode(),
    }


def _piece(number: int) -> str:
    """Return an event of the usual size."""
    data = {"type": "response.output_text.delta", "sequence_number": number, "delta": "x" * 100}
    return f"event: {data['type']}\ndata: {json.dumps(data)}\n\n"


async def _drop(url: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE")
    await connection.close()


@contextmanager
def modelling() -> Iterator[str]:
    """Have the model serve, and yield its base URL."""
    with subprocess.Popen(
        [sys.executable, "service_apps.py"], cwd=HERE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


async def measure(options: argparse.Namespace, pieces: Path) -> dict[str, object]:
    """Measure what is asked for, and return it."""
    found: dict[str, object] = {"load": os.getloadavg(), "cores": os.cpu_count()}
    print(f"load {os.getloadavg()}, {os.cpu_count()} cores")
    if options.only in (None, "responses"):
        found["responses"] = await compare_responses(pieces)
    if options.only == "responses":
        return found
    await _drop(options.url)
    workers = ("--workers", str(options.workers))
    command = ("kern.cli.entry", "serve", "service_apps:agent", "--port", "0", *workers)
    with (
        modelling() as model,
        serving(*command, SERVICE_DATABASE=options.url, SERVICE_MODEL=model) as service,
    ):
        async with session() as http:
            await ask(http, service.url, input="deltas 1, pause 0")
        if options.only in (None, "events"):
            found["events"] = await compare_events(service, pieces)
        if options.only in (None, "load"):
            found["carried"] = await carry(
                service, options.url, options.streams, options.rate, options.seconds
            )
    await _drop(options.url)
    return found


def main() -> None:
    """Measure, and write the figures where they are asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--streams", type=int, default=500)
    parser.add_argument("--rate", type=int, default=200)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--only", choices=["responses", "events", "load"])
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        pieces = Path(directory) / "pieces.json"
        pieces.write_text(json.dumps([_piece(number) for number in range(1000)]))
        found = asyncio.run(measure(options, pieces))
    if options.json is not None:
        options.json.write_text(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
