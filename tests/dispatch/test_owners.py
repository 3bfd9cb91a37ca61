"""Whether the process of an executor is gone, as other processes of its machine know."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from kern.dispatch import owners
from kern.dispatch.owners import is_gone, new_executor

BODY = """
from kern.dispatch.owners import new_executor
print(new_executor(), flush=True)
input()
"""


def test_a_process_is_gone_once_it_has_ended_also_if_nobody_has_waited_for_it() -> None:
    command = [sys.executable, "-c", BODY]
    with subprocess.Popen(command, stdin=-1, stdout=-1, text=True) as process:
        assert process.stdout is not None
        name = process.stdout.readline().strip()
        assert not is_gone(name)
        process.send_signal(signal.SIGKILL)
        assert process.stdout.read() == ""
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert is_gone(name), "though its number is not free yet"
    assert is_gone(name)


def test_another_process_of_the_same_number_is_another() -> None:
    name = new_executor()
    assert name != new_executor()
    assert not is_gone(name)
    token, machine, pid, begun = name.split("-")
    earlier = f"{token}-{machine}-{pid}-{int(begun, 16) - 1:x}"
    assert is_gone(earlier)


def test_of_a_process_that_a_sandbox_hides_nothing_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = new_executor()
    monkeypatch.setattr(owners, "_PROC", tmp_path)
    assert not is_gone(name)


@pytest.mark.parametrize("name", [None, "", "0f" * 8, "a-b-c-d", "---", "é-é-é-é"])
def test_of_what_is_no_name_nothing_is_known(name: str | None) -> None:
    assert not is_gone(name)


def test_of_another_machine_nothing_is_known() -> None:
    token, machine, _, begun = new_executor().split("-")
    assert not is_gone(f"{token}-{machine[::-1]}x-fffffff-{begun}")
    assert is_gone(f"{token}-{machine}-fffffff-{begun}"), "no process has that number"
