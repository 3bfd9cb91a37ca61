"""What the image says of itself to those who run it."""

import subprocess
import sys
from collections.abc import Iterator

import pytest
from deployment import commands, dockerfile

from kern.cli.worker.health import READY, HealthServer


@pytest.fixture
def alive() -> list[bool]:
    """Whether the worker's event loop answers."""
    return [True]


@pytest.fixture
def port(alive: list[bool]) -> Iterator[int]:
    """The port of a worker's health checks."""
    with HealthServer("127.0.0.1", 0, lambda: READY, lambda: alive[0]) as server:
        yield int(server.url.rpartition(":")[2])


def healthy(port: int) -> bool:
    """Ask as the image's health check does."""
    program, *arguments = (each.replace("8000", str(port)) for each in dockerfile("HEALTHCHECK"))
    assert program == "python"
    done = subprocess.run([sys.executable, *arguments], stderr=subprocess.DEVNULL)
    return done.returncode == 0


def test_its_health_check_sees_whether_a_worker_answers(
    port: int, alive: list[bool], unused_tcp_port: int
) -> None:
    assert healthy(port)
    alive[0] = False
    assert not healthy(port)
    assert not healthy(unused_tcp_port)


def test_it_is_kern_with_another_command() -> None:
    assert dockerfile("ENTRYPOINT") == ["kern"]
    assert commands()["Dockerfile"][0] == "serve"
