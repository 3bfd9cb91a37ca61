"""Runs the contenders in turn, round after round, and gathers what they print."""

import json
import os
import platform
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from bench.contenders.contender import Setting
from bench.driver.plan import Entry, Job, Plan
from bench.driver.services import ROOT, Services, end, python_of, surroundings

Result = dict[str, Any]
"""One figure of one contender in one round: ``samples``, or the ``reason`` why there are none."""

_COMMITS = 200

# Enough for the slowest job; a contender that takes longer hangs.
_LONGEST = 240.0

_SDKS = ("openai", "anthropic", "google.genai")

_IMPORT = """
import json, sys, time
imports, construct = sys.argv[1:]
began = time.perf_counter()
exec(imports)
imported = time.perf_counter() - began
loaded = [name for name in {sdks!r} if name in sys.modules]
times = []
for number in range(5):
    began = time.perf_counter()
    construct and eval(construct)
    times.append(time.perf_counter() - began)
print(json.dumps([imported, loaded, sorted(times)[2]]))
"""


class Rounds:
    """One whole measurement.

    Attributes:
        results: what was found so far.
        failures: what went wrong, in words.
    """

    def __init__(self, services: Services, entries: list[Entry], plan: Plan) -> None:
        self.results: list[Result] = []
        self.failures: list[str] = []
        self._services = services
        self._entries = entries
        self._plan = plan
        self._began = time.monotonic()

    def run(self) -> None:
        """Measure everything, and say how far it is."""
        for number in range(self._plan.rounds):
            commits = self._services.commits(_COMMITS)
            self._keep("commit", number, [{"figure": "commit", "samples": _rounded(commits)}])
            for entry in self._entries:
                reasons = [
                    {"figure": each, "reason": entry.without[each]} for each in entry.without
                ]
                self._keep(entry.name, number, reasons if number == 0 else [])
                if number < self._plan.import_rounds:
                    self._imports(entry, number)
                for job in self._plan.jobs(number, entry.name):
                    self._do(entry, job, number)

    def _say(self, number: int, entry: Entry, what: str) -> None:
        seconds = time.monotonic() - self._began
        print(
            f"[{seconds // 60:2.0f}:{seconds % 60:02.0f}] round {number + 1} of "
            f"{self._plan.rounds}  {entry.title:24} {what}",
            flush=True,
        )

    def _do(self, entry: Entry, job: Job, number: int) -> None:
        figures = tuple(figure for figure in job.figures if figure not in entry.without)
        if not figures:
            return
        self._say(number, entry, ", ".join(figures).replace("_", " "))
        name = f"bench_{entry.name}_{number}_{job.figures[0]}"
        with tempfile.TemporaryDirectory(prefix="kern-bench-") as directory:
            setting = Setting(
                database=self._services.new_database(name),
                directory=directory,
                model=self._services.model,
                channel=self._services.channel,
                postgres=self._services.postgres,
                figures=figures,
                scale=self._plan.scale,
                role="submit" if job.role == "submit" else "all",
                connections=int(self._plan.scale["memory"]) if "memory" in job.figures else 1000,
            )
            try:
                self._keep(entry.name, number, list(self._measure(entry, setting, directory)))
            finally:
                self._services.drop_database(name)

    def _measure(self, entry: Entry, setting: Setting, directory: str) -> Iterator[Result]:
        """Yield what a process of the contender prints."""
        errors = Path(directory, "errors")
        with errors.open("w") as sink:
            process = subprocess.Popen(
                [
                    python_of(entry.environment),
                    *("-m", f"bench.contenders.{entry.name}", setting.to_json()),
                ],
                stdout=subprocess.PIPE,
                stderr=sink,
                text=True,
                cwd=ROOT,
                env=surroundings(),
            )
            try:
                output, _ = process.communicate(timeout=_LONGEST)
            except subprocess.TimeoutExpired:
                output = ""
            finally:
                end(process)
        for line in output.splitlines():
            if line.startswith('{"figure"'):
                yield json.loads(line)
        if process.returncode != 0:
            said = errors.read_text()[-1500:]
            self.failures.append(f"{entry.title}, {', '.join(setting.figures)}:\n{said}")
            print(f"        failed:\n{said}", flush=True)

    def _imports(self, entry: Entry, number: int) -> None:
        """Measure imports and the making of an agent in fresh processes."""
        self._say(number, entry, "imports")
        script = _IMPORT.replace("{sdks!r}", repr(_SDKS))
        found: dict[str, list[float]] = {"import": [], "construct": []}
        loaded: list[str] = []
        for _ in range(self._plan.imports):
            seconds, loaded, construct = self._fresh(entry, script, entry.imports, entry.construct)
            found["import"].append(seconds)
            found["construct"].append(construct)
        results = [
            {"figure": figure, "samples": _rounded(found[figure]), "loaded": loaded}
            for figure in found
            if figure not in entry.without
        ]
        if "kern-agents" in entry.packages:
            alone = [
                self._fresh(entry, script, "import kern", "") for _ in range(self._plan.imports)
            ]
            samples = _rounded([seconds for seconds, _, _ in alone])
            results.append({"figure": "import_kern", "samples": samples, "loaded": alone[0][1]})
        self._keep(entry.name, number, results)

    def _fresh(self, entry: Entry, *arguments: str) -> tuple[float, list[str], float]:
        python = python_of(entry.environment)
        done = subprocess.run(
            [python, "-c", *arguments],
            capture_output=True,
            text=True,
            env=surroundings(),
            cwd=python.parent,
        )
        if done.returncode != 0:
            raise RuntimeError(f"{entry.title} cannot be imported:\n{done.stderr[-1500:]}")
        seconds, loaded, construct = json.loads(done.stdout.splitlines()[-1])
        return seconds, loaded, construct

    def _keep(self, contender: str, number: int, results: list[Result]) -> None:
        for result in results:
            self.results.append({"contender": contender, "round": number, **result})


def versions(entry: Entry) -> dict[str, str]:
    """Return the versions of a contender's packages, and of its Python."""
    script = (
        "import json, platform, sys\nfrom importlib.metadata import version\n"
        "print(json.dumps({'Python': platform.python_version()} "
        "| {name: version(name) for name in sys.argv[1:]}))"
    )
    done = subprocess.run(
        [python_of(entry.environment), "-c", script, *entry.packages],
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, str] = json.loads(done.stdout)
    return found


def machine() -> dict[str, str]:
    """Describe the machine."""
    models = [
        line.partition(":")[2].strip()
        for line in _lines("/proc/cpuinfo")
        if line.startswith("model name")
    ]
    return {
        "system": f"{platform.system()} {platform.release()}, {platform.machine()}",
        "processor": models[0] if models else platform.processor() or "unknown",
        "cores": str(os.cpu_count()),
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
    }


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []


def _rounded(samples: list[float]) -> list[float]:
    return [float(f"{sample:.4g}") for sample in samples]
