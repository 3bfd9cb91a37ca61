"""How a worker hears that it is to end, whatever its main thread does."""

import signal
import subprocess
from collections.abc import Callable

Spawn = Callable[..., "subprocess.Popen[str]"]

# Python would hear no signal before this returns, in half an hour.
BLOCK = """
import hashlib, sys
from kern.cli.worker.stop import Stop
Stop(float(sys.argv[1]))
print("blocked")
hashlib.pbkdf2_hmac("sha256", b"", b"", 10**9)
"""

FORK = """
import multiprocessing, signal, time
from kern.cli.worker.stop import Stop
stop = Stop(60)
forked = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,))
forked.start()
forked.terminate()
forked.join(20)
print(-forked.exitcode, stop.asked)
"""


def test_the_second_signal_ends_a_blocked_process(spawn: Spawn) -> None:
    process = spawn(BLOCK, "60")
    assert process.stdout is not None
    assert process.stdout.readline() == "blocked\n"
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 1


def test_a_blocked_process_ends_when_its_time_is_over(spawn: Spawn) -> None:
    process = spawn(BLOCK, "0.2")
    assert process.stdout is not None
    assert process.stdout.readline() == "blocked\n"
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 1


def test_a_process_that_a_tool_forks_can_be_ended(spawn: Spawn) -> None:
    process = spawn(FORK)
    output, _ = process.communicate(timeout=60)
    assert output == f"{signal.SIGTERM.value} False\n"
