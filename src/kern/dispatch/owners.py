"""The names of executors: by one a process of the same machine knows whether its owner is gone.

Elsewhere that is known only once the lease of what it executes has expired.
"""

import os
import socket
from functools import cache
from hashlib import blake2s
from pathlib import Path
from secrets import token_hex

_PROC = Path("/proc")


def new_executor() -> str:
    """Return a name for an executor in this process, which nobody else has."""
    pid = os.getpid()
    return f"{token_hex(4)}-{_machine()}-{pid:x}-{_begun(pid):x}"


def is_gone(executor: str | None) -> bool:
    """Say whether the process of an executor is known to be gone.

    Args:
        executor: its name; what is no name of :func:`new_executor` is of another kern.
    """
    if executor is None or executor.count("-") != 3:
        return False
    _, machine, pid, begun = executor.split("-")
    if machine != _machine():
        return False
    try:
        number, then = int(pid, 16), int(begun, 16)
        os.kill(number, 0)
    except ProcessLookupError:
        return True
    except (ValueError, OverflowError, OSError):  # It may be another user's, and lives.
        return False
    now = _begun(number)
    # Where a sandbox hides other processes (hidepid), nothing is known.
    return 0 not in (then, now) and now != then


@cache
def _machine() -> str:
    """Return what all processes have in common that see each other by their numbers."""
    known = [socket.gethostname()]
    try:
        known.append((_PROC / "sys/kernel/random/boot_id").read_text())
        known.append(os.readlink(_PROC / "self/ns/pid"))
    except OSError:  # Only Linux has these.
        known.append(str(os.getuid()) if hasattr(os, "getuid") else "")
    return blake2s("\0".join(known).encode(), digest_size=4).hexdigest()


def _begun(pid: int) -> int:
    """Return when a process was begun, in the ticks of the machine; 0 where that is not known.

    Of one that has ended, and that nobody has waited for, it is -1.
    """
    try:
        stat = (_PROC / str(pid) / "stat").read_bytes()
    except OSError:
        return 0
    # The name of the program before that is in brackets, and may hold any.
    values = stat.rpartition(b")")[2].split()
    return -1 if values[0] in b"ZX" else int(values[19])
