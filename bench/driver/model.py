"""The stand-in model as a process, with a channel over which it tells what it saw.

``python -m bench.driver.model`` prints the base URL and the channel's port. The channel takes one
JSON object a line, and answers with one.
"""

import asyncio
import json
import re
import signal
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from typing_extensions import override

from kern.testing import Reply, ResponsesServer

ANSWER = Reply.text("The capital of France", " is Paris.")

_ORDER = re.compile(
    r"(?:Wait (?P<seconds>\d+) s\.|Call (?P<calls>\d+) times\.|Say (?P<pieces>\d+) pieces\.)?"
    r"[^#]*(?:#(?P<mark>\S+))?"
)


class Pieces(tuple[str, ...]):
    """Pieces of an answer that note when each is taken to be sent.

    Attributes:
        sent: the moments, by ``time.monotonic()``; those of the last time that they were taken.
    """

    sent: list[float]

    @override
    def __iter__(self) -> Iterator[str]:
        self.sent = []
        for piece in super().__iter__():
            self.sent.append(time.monotonic())
            yield piece


class Model:
    """Answers by what the input says, and notes when marked inputs arrive.

    ``Wait 3 s.`` holds the answer back, ``Call 20 times.`` asks for the tool ``moment`` that often,
    one call a turn, ``Say 50 pieces.`` streams so many within a second, and anything else is
    answered at once. ``#mark`` at the end marks the request.
    """

    def __init__(self) -> None:
        self.server = ResponsesServer(default=self._reply, record=False)
        self._arrivals: defaultdict[str, list[float]] = defaultdict(list)
        self._pieces: dict[str, Pieces] = {}
        self._news = asyncio.Event()

    async def answer(self, question: Mapping[str, Any]) -> dict[str, object]:
        """Wait for what the question asks for, and return what there is.

        Args:
            question: ``wait`` says for what: ``arrival`` (of ``mark``, ``count`` times), ``left``
                (``count`` clients have left before their answer, in all), ``in_flight`` (``count``
                requests) or nothing; ``timeout`` is in seconds. ``sent`` in the answer tells when
                the pieces of the answer to ``mark`` left.
        """
        at: float | None = None
        try:
            match question.get("wait"):
                case "arrival":
                    async with asyncio.timeout(question["timeout"]):
                        at = await self._arrival(question["mark"], question["count"])
                case "left" | "in_flight" as what:
                    attribute = "disconnects" if what == "left" else "in_flight"
                    at = await self._reached(attribute, question["count"], question["timeout"])
        except TimeoutError:
            pass
        return {
            "at": at,
            "left": self.server.disconnects,
            "in_flight": self.server.in_flight,
            "processor": time.process_time(),
            "sent": pieces.sent if (pieces := self._pieces.get(question.get("mark", ""))) else [],
        }

    async def _arrival(self, mark: str, count: int) -> float:
        while len(self._arrivals[mark]) < count:
            await self._news.wait()
        return self._arrivals[mark][count - 1]

    async def _reached(self, attribute: str, count: int, timeout: float) -> float:
        # The condition is looked at when something happens, so the first time is the moment.
        moments: list[float] = []

        def holds(server: ResponsesServer) -> bool:
            if getattr(server, attribute) >= count:
                moments.append(time.monotonic())
            return bool(moments)

        await self.server.wait_until(holds, timeout)
        return moments[0]

    def _reply(self, body: dict[str, Any]) -> Reply:
        order = _ORDER.match(_text(body["input"]))
        assert order is not None
        if mark := order["mark"]:
            self._arrivals[mark].append(time.monotonic())
            news, self._news = self._news, asyncio.Event()
            news.set()
        if seconds := order["seconds"]:
            return ANSWER.slow(delay=float(seconds))
        if count := order["pieces"]:
            pieces = self._pieces[mark or ""] = Pieces(f"{number} " for number in range(int(count)))
            return Reply(deltas=pieces).slow(pause=1 / len(pieces))
        if calls := order["calls"]:
            made = sum(item.get("type") == "function_call_output" for item in body["input"])
            return Reply.tool_calls(("moment", {})) if made < int(calls) else ANSWER
        return ANSWER


def _text(given: str | list[dict[str, Any]]) -> str:
    """Return the text of the last message of the user."""
    if isinstance(given, str):
        return given
    content = next(item["content"] for item in reversed(given) if item.get("role") == "user")
    return content if isinstance(content, str) else "".join(part["text"] for part in content)


async def _main() -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    model = Model()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            writer.write(json.dumps(await model.answer(json.loads(line))).encode() + b"\n")
        writer.close()

    async with model.server:
        channel = await asyncio.start_server(listen, "127.0.0.1", 0)
        print(model.server.base_url, channel.sockets[0].getsockname()[1], flush=True)
        await stop.wait()
        channel.close()


if __name__ == "__main__":
    asyncio.run(_main())
