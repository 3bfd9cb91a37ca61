"""The health checks, without a worker behind them."""

import http.client
import json

import pytest

from kern.cli.worker.health import HealthServer
from kern.errors import ConfigurationError


def look(server: HealthServer, path: str) -> tuple[int, dict[str, str]]:
    connection = http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=5)
    connection.request("GET", path)
    with connection.getresponse() as answer:
        assert answer.headers["Content-Type"] == "application/json"
        found = answer.status, json.loads(answer.read())
    connection.close()
    return found


@pytest.mark.parametrize(("state", "alive"), [("ready", False), ("starting", True)])
def test_readiness_and_life_are_two_things(state: str, alive: bool) -> None:
    with HealthServer("127.0.0.1", 0, lambda: state, lambda: alive) as server:
        ready, reason = look(server, "/readyz")
        assert ready == (200 if state == "ready" else 503)
        assert reason.get("reason") == (None if state == "ready" else "starting")
        assert look(server, "/healthz")[0] == (200 if alive else 503)
        assert look(server, "/healthz?verbose")[0] == (200 if alive else 503)
        assert look(server, "/")[0] == 404


def test_a_port_in_use_is_explained() -> None:
    with HealthServer("127.0.0.1", 0, lambda: "ready", lambda: True) as server:
        port = int(server.url.rpartition(":")[2])
        with pytest.raises(ConfigurationError, match=f"port {port} of 127.0.0.1: Address already"):
            HealthServer("127.0.0.1", port, lambda: "ready", lambda: True)
