"""Processes that start others, and end with them."""

import os
import signal
import subprocess
from contextlib import suppress


def end_group(leader: "subprocess.Popen[bytes]") -> None:
    """End a process that leads a group, and whatever of what it has started is still there.

    A worker of a server may outlive a supervisor that is killed.
    """
    with suppress(ProcessLookupError):
        os.killpg(leader.pid, signal.SIGKILL)
    leader.wait(20)
