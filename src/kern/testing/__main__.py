"""The server as a process: ``python -m kern.testing --port 8080``."""

import argparse
import asyncio
import signal

from kern.testing.reply import Reply
from kern.testing.server import ProtocolServer


async def _serve(port: int, reply: Reply) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with ProtocolServer(default=reply, port=port, record=False) as server:
        print(server.base_url, flush=True)
        await stop.wait()


def main() -> None:
    """Serve until SIGINT or SIGTERM, the first line of the output being the base URL for OpenAI."""
    parser = argparse.ArgumentParser(
        prog="python -m kern.testing",
        description="Answers for OpenAI, Anthropic and Google with one text, as fast as it can.",
    )
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one (default)")
    parser.add_argument("--delay", type=float, default=0.0, help="seconds before the first byte")
    parser.add_argument("--pause", type=float, default=0.0, help="seconds after each delta")
    parser.add_argument(
        "--text", nargs="+", default=["Hello."], help="the text, in the pieces of its stream"
    )
    options = parser.parse_args()
    reply = Reply.text(*options.text).slow(options.delay, options.pause)
    asyncio.run(_serve(options.port, reply))


if __name__ == "__main__":
    main()
