"""TCP ports of this machine."""

import socket
from random import SystemRandom

# Below those that an operating system gives to connections, and to who binds to port 0: such a one
# is soon given to somebody else.
_PORTS = range(20_000, 32_768)


def free_port() -> int:
    """Return a port that nothing listens on, and that nobody is given by chance."""
    for port in SystemRandom().sample(_PORTS, 100):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("a hundred ports are taken")
