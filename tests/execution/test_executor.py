"""What executes in a process, as its threads see it."""

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from threading import Event

import pytest

from kern.agent import Agent
from kern.execution.executor import Executor, _Execution
from kern.execution.from_record import attempt_of
from kern.execution.spec import Spec
from kern.models.openai import OpenAIResponses
from kern.run.base import RunStatus
from kern.run.record import RunRecord


@pytest.fixture
def _switching() -> Iterator[None]:
    """Have threads take turns as often as they can."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


@pytest.mark.usefixtures("_switching")
async def test_the_heart_reads_what_executes_while_runs_begin_and_end(
    model: OpenAIResponses,
) -> None:
    executor, ended = Executor(), Event()
    record = RunRecord(
        *("run", "session", "agent", None, RunStatus.running), 1, datetime.now(UTC), input="{}"
    )
    execution = _Execution(attempt_of(record, Spec.of(Agent("Tester", model)), None))

    def read() -> None:
        while not ended.is_set():
            assert {number for _, number in executor.attempts} <= {1}

    with ThreadPoolExecutor(1) as threads:
        reading = threads.submit(read)
        for number in range(50_000):
            executor._executing[str(number)] = execution
            executor._executing.pop(str(number - 300), None)
        ended.set()
        reading.result()
