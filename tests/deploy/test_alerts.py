"""The alerts of deploy/prometheus name metrics that there are, and say what their tests say."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from kern import Agent, InMemoryDb
from kern.server import create_app, metrics
from kern.telemetry.instruments import Instruments, observe_process
from kern.testing import ScriptedModel

RULES = Path(__file__).parents[2] / "deploy/prometheus/rules.yaml"
UNITS = {"s": "_seconds", "USD": "_USD"}
OTHERS = {"up", "sum", "by", "le", "min", "max", "rate", "increase", "absent", "histogram_quantile"}


def expressions(group: str) -> Iterator[str]:
    [found] = [
        each for each in yaml.safe_load(RULES.read_text())["groups"] if each["name"] == group
    ]
    for rule in found["rules"]:
        yield rule["expr"]


def named(group: str) -> set[str]:
    """Return the names in the expressions of a group that stand for metrics."""
    found = set()
    for expression in expressions(group):
        bare = re.sub(r"by \([^)]*\)|\{[^}]*\}|\[[^]]*\]", "", expression)
        found |= {*re.findall(r"[a-z_A-Z]{2,}\w*", bare)} - OTHERS
    return found


class Noted:
    """A meter that notes what each instrument would be called in Prometheus."""

    def __init__(self) -> None:
        self.names: set[str] = set()
        self._real = MeterProvider([InMemoryMetricReader()]).get_meter("kern")

    def __getattr__(self, name: str) -> Any:
        def create(*arguments: Any, **options: Any) -> Any:
            self._note(name, arguments)
            return getattr(self._real, name)(*arguments, **options)

        return create

    def _note(self, kind: str, arguments: tuple[Any, ...]) -> None:
        name, unit = arguments[0], next(each for each in arguments[1:] if isinstance(each, str))
        plain = name.replace(".", "_") + UNITS.get(unit, "")
        endings = {"create_counter": ["_total"], "create_histogram": ["_bucket", "_sum", "_count"]}
        self.names |= {plain + ending for ending in endings.get(kind, [""])}


def test_the_service_has_the_metrics_that_its_alerts_name() -> None:
    there = set()
    for metric in metrics._registry.collect():
        endings = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"]}
        there |= {metric.name + ending for ending in endings.get(metric.type, [""])}
    assert named("kern-service") - there == set()
    assert len(named("kern-service")) >= 5


def test_processes_have_the_metrics_that_their_alerts_name() -> None:
    noted = Noted()
    Instruments(noted)  # type: ignore[arg-type] # as far as instruments use a meter, it is one
    observe_process(noted)  # type: ignore[arg-type]
    assert named("kern-workers") - noted.names == set()
    assert len(named("kern-workers")) >= 6


def test_there_are_the_routes_that_alerts_name() -> None:
    agent = Agent("Clerk", ScriptedModel(), db=InMemoryDb())
    paths = {"/healthz", "/readyz", *create_app([agent]).openapi()["paths"]}
    for expression in expressions("kern-service"):
        assert {*re.findall(r'route!?="([^"]+)"', expression)} <= paths


def test_every_alert_says_what_to_do() -> None:
    page = (RULES.parents[2] / "docs/guides/production.md").read_text()
    groups = yaml.safe_load(RULES.read_text())["groups"]
    alerts = {rule["alert"] for group in groups for rule in group["rules"]}
    assert alerts == {*re.findall(r"^\| `(Kern\w+)` \|", page, re.MULTILINE)}


def test_the_alerts_fire_when_they_should() -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed (Debian: prometheus)")
    for command in (["check", "rules", "rules.yaml"], ["test", "rules", "rules.test.yaml"]):
        done = subprocess.run(
            [promtool, *command], cwd=RULES.parent, capture_output=True, text=True, timeout=30
        )
        assert done.returncode == 0, done.stdout + done.stderr
