"""The soak's side of what its processes are asked; theirs is ``answering.py``."""

import asyncio
import json
from itertools import count


class AwayError(Exception):
    """The process could not reach the database; whether that has heard is not known."""


class GoneError(Exception):
    """The process was gone before it had answered; whether it has done it is not known."""


class Questions:
    """Asks a process; many questions may be under way."""

    def __init__(self) -> None:
        """Keep what is asked until there is a process to hear it."""
        self._numbers = count()
        self._asked: dict[int, asyncio.Future[object]] = {}
        self._unsent: list[bytes] = []
        self._writer: asyncio.StreamWriter | None = None
        self._is_gone = False

    async def ask(self, do: str, run_id: str, **more: object) -> object:
        """Have the process do something, and return its answer.

        Raises:
            AwayError: the database was away.
            GoneError: the process was gone.
            RuntimeError: it failed otherwise, which it must not.
        """
        if self._is_gone:
            raise GoneError
        number = next(self._numbers)
        question = {"number": number, "do": do, "run_id": run_id, **more}
        self._send(json.dumps(question).encode() + b"\n")
        self._asked[number] = asyncio.get_running_loop().create_future()
        try:
            return await self._asked[number]
        finally:
            del self._asked[number]

    async def converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Send what is asked, and take the answers, until the process is gone."""
        self._writer = writer
        for question in self._unsent:
            writer.write(question)
        try:
            async for line in reader:
                self._take(json.loads(line))
        except ConnectionError:
            pass  # It was killed before it had read all that it was asked.
        finally:
            self._is_gone = True
            for asked in self._asked.values():
                if not asked.done():
                    asked.set_exception(GoneError())
            writer.close()

    def _send(self, question: bytes) -> None:
        if self._writer is None:
            self._unsent.append(question)
        else:
            self._writer.write(question)

    def _take(self, told: dict[str, str]) -> None:
        asked = self._asked.get(int(told["number"]))
        if asked is None or asked.done():  # Its asker has given up.
            return
        if "error" not in told:
            asked.set_result(told["answer"])
        elif told["error"] in ("DatabaseUnavailableError", "OutcomeUnknownError"):
            asked.set_exception(AwayError(told["message"]))
        else:
            asked.set_exception(RuntimeError(f"{told['error']}: {told['message']}"))
