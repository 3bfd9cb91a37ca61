"""The cookbook's scripts, each run as its reader would: in a process and directory of its own."""

import atexit
import os
import sys
import threading
import time
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from elsewhere import processes

from kern.testing import ProtocolServer, Reply
from kern.testing.server import Script

COOKBOOK = Path(__file__).parents[2] / "cookbook"

_STREAMS = ("out", "err")
"""The files in a script's directory to which its standard streams go."""


class Printed(NamedTuple):
    """What a script has printed, and said on its standard error."""

    text: str
    errors: str


class Cookbook:
    """Runs scripts, whose models are all at one server.

    Attributes:
        server: what answers for the models.
        directory: the scripts' working directory, where their databases are.
    """

    def __init__(self, server: ProtocolServer, directory: Path) -> None:
        """Run them with this server in this directory."""
        self.server = server
        self.directory = directory

    def __call__(self, script: str, *replies: Script | str, **environment: str) -> str:
        """Run a script to its end, with these answers of its models, and return what it printed.

        Args:
            script: its path in the cookbook.
            replies: the answers, in order; the script has to ask for all of them.
            environment: more variables.
        """
        printed = self.run(script, *replies, **environment)
        assert "Traceback" not in printed.errors, printed.errors
        return printed.text

    def program(self, text: str, *replies: Script | str) -> str:
        """Do the same with a program of this text."""
        program = self.directory / "program.py"
        program.write_text(text)
        return self(str(program), *replies)

    def run(self, script: str, *replies: Script | str, **environment: str) -> Printed:
        """Run a script, and return what it said on its standard error as well."""
        self.answer(*replies)
        code, printed = self._ended(self._start(script, environment))
        assert code == 0, f"exit code {code}\n{printed.text}\n{printed.errors}"
        assert not self.server.script, f"{len(self.server.script)} answers were not asked for"
        return printed

    def kill(
        self, script: str, *replies: Script | str, at: int = 0, when: str = "", **environment: str
    ) -> Printed:
        """Kill a script in the middle, and return what it had printed.

        Args:
            script: its path in the cookbook.
            replies: the answers before.
            at: kill it once it has asked its models so often; the last request is not answered.
            when: kill it once it has printed this.
            environment: more variables.
        """
        self.answer(*replies, *[Reply.hang()] * (at > 0))
        process = self._start(script, {"KERN_HEARTBEAT": "0.5", **environment})
        deadline = time.monotonic() + 40
        while len(self.server.requests) < at or when not in self._printed().text:
            assert process.is_alive(), self._printed()
            assert time.monotonic() < deadline, self._printed()
            time.sleep(0.02)  # What it prints is a file, of which nobody is told.
        process.kill()
        return self._ended(process)[1]

    def answer(self, *replies: Script | str) -> None:
        """Put answers into the server's script."""
        self.server.script.extend(
            Reply.text(reply) if isinstance(reply, str) else reply for reply in replies
        )

    def _start(self, script: str, environment: dict[str, str]) -> BaseProcess:
        variables = {
            "OPENAI_BASE_URL": self.server.base_url,
            "ANTHROPIC_BASE_URL": self.server.url,
            "GOOGLE_GEMINI_BASE_URL": self.server.url,
            "OLLAMA_HOST": self.server.url,
            **dict.fromkeys(("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GOOGLE_API_KEY"), "none"),
            "COLUMNS": "100",
        }
        process = processes.Process(
            target=_execute,
            args=(COOKBOOK / script, self.directory, {**os.environ, **variables, **environment}),
        )
        for name in _STREAMS:
            (self.directory / name).write_text("")
        process.start()
        return process

    def _ended(self, process: BaseProcess) -> tuple[int, Printed]:
        process.join(40)
        in_time = process.exitcode is not None
        process.kill()
        process.join()
        code = process.exitcode
        process.close()
        printed = self._printed()
        assert in_time, f"no end after 40 seconds\n{printed.text}\n{printed.errors}"
        assert code is not None
        return code, printed

    def _printed(self) -> Printed:
        return Printed(*((self.directory / name).read_text() for name in _STREAMS))


def _execute(script: Path, directory: Path, environment: dict[str, str]) -> None:
    """Do in a forked process what ``python SCRIPT`` does in a new one."""
    os.chdir(directory)
    for descriptor, name in enumerate(_STREAMS, 1):
        os.dup2(os.open(name, os.O_WRONLY), descriptor)
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    sys.stdout = open(1, "w", buffering=1)  # noqa: SIM115 # as long as the process lives
    sys.stderr = open(2, "w", buffering=1)  # noqa: SIM115
    sys.argv, sys.path[0] = [str(script)], str(script.parent)
    main = ModuleType("__main__")
    main.__file__ = str(script)
    sys.modules["__main__"] = main
    try:
        exec(compile(script.read_text(), script, "exec"), main.__dict__)
    finally:
        # The end of a forked process leaves out what the end of an interpreter does.
        threading._shutdown()  # type: ignore[attr-defined] # there is no other way to it
        atexit._run_exitfuncs()
