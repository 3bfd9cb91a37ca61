"""SIGTERM: what is done before the process ends, and who is asked after that."""

import re
import signal
import subprocess
from collections.abc import Callable

import pytest

Spawn = Callable[..., "subprocess.Popen[str]"]

PRELUDE = """
import asyncio, logging, os, signal, sys, threading, time
from kern.dispatch.shutdown import handle_sigterm, in_charge, on_terminate
logging.basicConfig(format="%(message)s", stream=sys.stdout)

async def release():
    await asyncio.sleep(0.05)
    print("released")

async def hang():
    await asyncio.Event().wait()

async def main(*releases, patience=10.0):
    for each in releases:
        on_terminate(each, patience)
    print("ready")
    await asyncio.Event().wait()

def in_a_thread(work):
    threading.Thread(target=lambda: asyncio.run(work), daemon=True).start()
"""


def terminated(process: "subprocess.Popen[str]") -> tuple[int, list[str]]:
    """Wait until a process is ready, and return its exit code and what it printed after SIGTERM."""
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=60)
    return process.returncode, output.split()


def test_a_process_without_a_handler_ends_by_the_signal_once_its_runs_are_released(
    spawn: Spawn,
) -> None:
    process = spawn(PRELUDE + "asyncio.run(main(release, release))")
    assert terminated(process) == (-signal.SIGTERM, ["released", "released"])


@pytest.mark.parametrize("blocked", ["time.sleep(60)", "threading.Event().wait()"])
def test_a_loop_in_another_thread_is_awaited_while_the_main_thread_blocks(
    spawn: Spawn, blocked: str
) -> None:
    process = spawn(f"{PRELUDE}handle_sigterm()\nin_a_thread(main(release))\n{blocked}")
    assert terminated(process) == (-signal.SIGTERM, ["released"])


def test_a_handler_that_is_there_is_called_once_the_runs_are_released(spawn: Spawn) -> None:
    handler = "signal.signal(signal.SIGTERM, lambda *_: (print('handled'), sys.exit(3)))\n"
    process = spawn(PRELUDE + handler + "asyncio.run(main(release))")
    assert terminated(process) == (3, ["released", "handled"])
    process = spawn(
        PRELUDE + handler + "handle_sigterm()\nin_a_thread(main(release))\ntime.sleep(60)"
    )
    assert terminated(process) == (3, ["released", "handled"])


def test_a_handler_that_was_put_before_ours_may_hand_on_to_it(spawn: Spawn) -> None:
    process = spawn(
        PRELUDE
        + """
async def chained():
    on_terminate(release)
    ours = signal.getsignal(signal.SIGTERM)
    signal.signal(signal.SIGTERM, lambda *given: (print("theirs"), ours(*given)))
    await main(release)

asyncio.run(chained())
"""
    )
    code, said = terminated(process)
    assert (code, said) == (-signal.SIGTERM, ["released", "released", "theirs"])


def test_a_signal_handler_of_the_event_loop_goes_first(spawn: Spawn) -> None:
    process = spawn(
        PRELUDE
        + """
async def own():
    end, released = asyncio.Event(), asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, end.set)

    async def release_and_say():
        await release()
        released.set()

    on_terminate(release_and_say)
    print("ready")
    await end.wait()
    await released.wait()
    print("ended")

asyncio.run(own())
"""
    )
    assert terminated(process) == (0, ["released", "ended"])


def test_what_does_not_end_in_time_holds_the_signal_back_no_longer(spawn: Spawn) -> None:
    process = spawn(PRELUDE + "asyncio.run(main(hang, patience=0.1))")
    code, said = terminated(process)
    assert code == -signal.SIGTERM
    assert " ".join(said).startswith("SIGTERM: not all runs could be released")


def test_a_loop_that_is_blocked_holds_the_signal_back_no_longer(spawn: Spawn) -> None:
    process = spawn(
        PRELUDE
        + """
async def blocked():
    on_terminate(release, 0.1)
    print("ready")
    time.sleep(60)

asyncio.run(blocked())
"""
    )
    assert terminated(process)[0] == -signal.SIGTERM


def test_a_second_signal_is_not_held_back(spawn: Spawn) -> None:
    process = spawn(
        PRELUDE
        + """
handle_sigterm()
ours = signal.getsignal(signal.SIGTERM)
signal.signal(signal.SIGTERM, lambda *given: (ours(*given), print("asked")))
in_a_thread(main(hang))
time.sleep(60)
"""
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGTERM)
    assert process.stdout.readline() == "asked\n"
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == -signal.SIGTERM


def test_who_is_in_charge_of_a_loop_is_asked_instead(spawn: Spawn) -> None:
    process = spawn(
        PRELUDE
        + """
async def instead():
    print("stopped")

async def charge():
    with in_charge(instead):
        await main(release)

asyncio.run(charge())
"""
    )
    assert terminated(process) == (-signal.SIGTERM, ["stopped"])


def test_a_forked_child_ends_at_once(spawn: Spawn) -> None:
    process = spawn(
        PRELUDE
        + """
async def forking():
    on_terminate(hang)
    readable, writable = os.pipe()
    if child := os.fork():
        os.read(readable, 1)
        os.kill(child, signal.SIGTERM)
        print("ready")
        print(os.waitpid(child, 0)[1])
        os._exit(0)
    os.write(writable, b"1")
    time.sleep(60)

asyncio.run(forking())
"""
    )
    output, _ = process.communicate(timeout=60)
    assert output.split() == ["ready", str(int(signal.SIGTERM))]


def test_a_signal_that_is_ignored_stays_so(spawn: Spawn) -> None:
    process = spawn(
        PRELUDE
        + """
signal.signal(signal.SIGTERM, signal.SIG_IGN)
handle_sigterm()
print(signal.getsignal(signal.SIGTERM) == signal.SIG_IGN)
"""
    )
    assert process.communicate(timeout=60)[0] == "True\n"


LEFT = """
async def use(*releases, patience=10.0):
    for each in releases:
        on_terminate(each, patience)

async def fail():
    raise RuntimeError("broken")

loop = asyncio.new_event_loop()
"""


@pytest.mark.parametrize(
    ("body", "output"),
    [
        ("loop.run_until_complete(use(release, release))", "released\nreleased\n"),
        ("loop.run_until_complete(use(release)); loop.close()", ""),
        ("loop.run_until_complete(use(fail, release))", "exit: not all .*broken.*\nreleased\n"),
        ("loop.run_until_complete(use(hang, patience=0.1))", "exit: not all .*TimeoutError.*\n"),
    ],
    ids=["left", "closed", "failing", "hanging"],
)
def test_the_runs_of_a_loop_that_was_left_are_released_at_the_exit(
    spawn: Spawn, body: str, output: str
) -> None:
    process = spawn(PRELUDE + LEFT + body)
    printed, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert re.fullmatch(output, printed), printed
