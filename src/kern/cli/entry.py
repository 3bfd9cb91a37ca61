"""The first that the command ``kern`` executes: it imports little, to be ready for signals soon."""

import os
import signal
import sys


def main() -> None:
    """Execute the command line.

    To import what a worker or a server needs takes a while. Nothing is in hand yet then, so a
    signal ends it in good order.
    """
    if sys.argv[1:2] in (["worker"], ["serve"], ["mcp"]):
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: os._exit(0))
    from kern.cli.main import app

    app()


if __name__ == "__main__":
    main()
