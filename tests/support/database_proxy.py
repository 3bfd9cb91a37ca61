"""A TCP proxy before a database, whose connections a test freezes, cuts and counts."""

import asyncio
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from kern.db.postgres import PostgresDb
from kern.local.postgres import EmbeddedPostgres

# Not what resets a connection before it is used anew.
_LISTEN = re.compile(rb"(?<!UN)LISTEN ")


class _Flow:
    """One client's connection, and the one to the server that belongs to it."""

    def __init__(self, client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        self.client, self.server = client, server
        self.listens = False
        self.flowing = asyncio.Event()
        self.flowing.set()

    def cut(self) -> None:
        for writer in (self.client, self.server):
            writer.transport.abort()
        self.flowing.set()


class Proxy:
    """Forwards bytes between clients and a PostgreSQL, on a thread of its own.

    What it freezes stays connected, and nothing goes through: so does a firewall that has
    forgotten a connection, or a host that has lost its network.
    """

    def __init__(self, url: str) -> None:
        """Forward to the server of ``url``."""
        self._target = urlsplit(url)
        self._flows: set[_Flow] = set()
        self._freezes: Callable[[_Flow], bool] = lambda _: False
        self._refuses = False
        self._cuts_at: int | None = None
        self._cut = threading.Event()
        self.accepted = 0
        """How many connections there have been."""

    @property
    def url(self) -> str:
        """Where clients connect."""
        login = self._target.netloc.rpartition("@")[0]
        return self._target._replace(netloc=f"{login}@127.0.0.1:{self.port}").geturl()

    def freeze(self) -> None:
        """Let nothing through, on old connections and new ones."""
        self._call(lambda: self._freeze(lambda _: True))

    def freeze_open(self) -> None:
        """Let nothing through on the connections that there are, as a router that has restarted."""
        flows = {*self._flows}
        self._call(lambda: self._freeze(lambda flow: flow in flows))

    def freeze_listeners(self) -> None:
        """Let nothing through where a client listens for notifications, now or later."""
        self._call(lambda: self._freeze(lambda flow: flow.listens))

    def thaw(self) -> None:
        """Let everything through again, and what was held back first."""
        self._call(lambda: self._freeze(lambda _: False))

    def cut(self, *, refuse: bool = True) -> None:
        """Close every connection; and refuse new ones until :meth:`mend`, if so."""
        self._call(lambda: self._cut_all(refuse))

    def cut_at(self, sent: int) -> None:
        """Cut and refuse as soon as clients have sent something so many times more."""
        self._cut.clear()
        self._cuts_at = sent

    async def was_cut(self, timeout: float) -> bool:
        """Wait until what :meth:`cut_at` asked for has happened, and say whether it has."""
        return await asyncio.to_thread(self._cut.wait, timeout)

    def mend(self) -> None:
        """Accept connections again."""
        self._cuts_at = None
        self._refuses = False

    def start(self) -> None:
        """Listen on a free port."""
        started = threading.Event()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._serve(started)), name="proxy", daemon=True
        )
        self._thread.start()
        assert started.wait(10)

    def stop(self) -> None:
        """Close everything."""
        self._loop.call_soon_threadsafe(self._stopped.set)
        self._thread.join(10)

    async def _serve(self, started: threading.Event) -> None:
        self._loop, self._stopped = asyncio.get_running_loop(), asyncio.Event()
        listener = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port: int = listener.sockets[0].getsockname()[1]
        started.set()
        await self._stopped.wait()
        self._cut_all(refuse=True)
        # Those too that have been accepted, but not gone further: a listener that is closed before
        # they have their transport leaves their socket open.
        while accepted := asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.wait(accepted)
        listener.close()
        for _ in range(10):  # It takes the loop some turns until an aborted one is closed.
            await asyncio.sleep(0)

    async def _accept(self, reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        if self._refuses:
            client.transport.abort()
            return
        self.accepted += 1
        assert self._target.hostname is not None
        try:
            from_server, server = await asyncio.open_connection(
                self._target.hostname, self._target.port
            )
        except OSError:
            client.transport.abort()
            return
        flow = _Flow(client, server)
        if self._refuses:
            flow.cut()
            return
        self._flows.add(flow)
        self._apply(flow)
        try:
            await asyncio.gather(
                self._pump(flow, reader, server, sending=True),
                self._pump(flow, from_server, client, sending=False),
            )
        finally:
            self._flows.discard(flow)
            flow.cut()

    async def _pump(
        self, flow: _Flow, reader: asyncio.StreamReader, to: asyncio.StreamWriter, *, sending: bool
    ) -> None:
        try:
            while data := await reader.read(1 << 16):
                if sending:
                    self._sent(flow, data)
                await flow.flowing.wait()
                to.write(data)
                await to.drain()
        except OSError:
            pass
        finally:
            flow.cut()

    def _sent(self, flow: _Flow, data: bytes) -> None:
        if not flow.listens and _LISTEN.search(data):
            flow.listens = True
            self._apply(flow)
        if self._cuts_at is not None:
            self._cuts_at -= 1
            if self._cuts_at <= 0:
                self._cuts_at = None
                self._cut_all(refuse=True)
                self._cut.set()

    def _freeze(self, which: Callable[[_Flow], bool]) -> None:
        self._freezes = which
        for flow in self._flows:
            self._apply(flow)

    def _apply(self, flow: _Flow) -> None:
        if self._freezes(flow):
            flow.flowing.clear()
        else:
            flow.flowing.set()

    def _cut_all(self, refuse: bool) -> None:
        self._refuses = refuse
        for flow in [*self._flows]:
            flow.cut()

    def _call(self, change: Callable[[], None]) -> None:
        done = threading.Event()

        def apply() -> None:
            change()
            done.set()

        self._loop.call_soon_threadsafe(apply)
        assert done.wait(10)


@contextmanager
def proxy_to(postgres: EmbeddedPostgres) -> Iterator[Proxy]:
    """Run a proxy before a PostgreSQL."""
    proxy = Proxy(postgres.url)
    proxy.start()
    try:
        yield proxy
    finally:
        proxy.stop()


def through(proxy: Proxy, table: str) -> PostgresDb:
    """Return the database as it is reached through the proxy."""
    return PostgresDb(proxy.url, session_table=table)
