"""A process that submits, cancels and waits, as its standard input says; it executes nothing."""

import asyncio
import sys

from tests.soak.answering import answer_all


async def _main() -> None:
    reader = asyncio.StreamReader(limit=2**20)
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    await answer_all(reader, _tell)


def _tell(answer: str) -> None:
    sys.stdout.write(answer)
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(_main())
