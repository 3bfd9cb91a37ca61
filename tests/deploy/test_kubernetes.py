"""The manifests are what Kubernetes, KEDA and Prometheus take, and hold what they promise."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from deployment import DEPLOY, commands, manifests, pods

from kern.db.listing import Load
from kern.server.metrics import as_text

VERSION = "1.32"
FOREIGN = {"ScaledObject", "ServiceMonitor"}


def check(each: dict[str, Any]) -> None:
    """Hold an object against Kubernetes' own schema, which knows no kinds of others."""
    if each["kind"] not in FOREIGN:
        kubernetes_validate.validate(each, VERSION, strict=True)


def test_each_object_is_valid() -> None:
    found = list(manifests())
    assert {each["kind"] for each in found} >= FOREIGN | {"Deployment", "Service", "Namespace"}
    for each in found:
        check(each)


def test_a_field_that_there_is_not_is_seen() -> None:
    [deployment, *_] = [each for each in manifests() if each["kind"] == "Deployment"]
    deployment["spec"]["template"]["spec"]["terminationGrace"] = 5
    with pytest.raises(kubernetes_validate.ValidationError):
        check(deployment)


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not here")
@pytest.mark.parametrize("autoscaled", [False, True])
def test_kustomize_builds_them(tmp_path: Path, autoscaled: bool) -> None:
    shutil.copytree(DEPLOY / "kubernetes", tmp_path / "kubernetes")
    kustomization = tmp_path / "kubernetes" / "kustomization.yaml"
    if autoscaled:
        kustomization.write_text(
            re.sub(r"^# (?=components|  - )", "", kustomization.read_text(), flags=re.M)
        )
    done = subprocess.run(
        ["kubectl", "kustomize", str(kustomization.parent)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    built = {
        (each["kind"], each["metadata"]["name"]): each for each in yaml.safe_load_all(done.stdout)
    }
    for each in built.values():
        check(each)
        assert each["kind"] == "Namespace" or each["metadata"]["namespace"] == "kern"
    worker = built["Deployment", "kern-worker"]["spec"]
    [container] = worker["template"]["spec"]["containers"]
    assert container["image"] == "registry.example.com/agents:1"
    # Who scales it has the number.
    assert ("replicas" in worker) is not autoscaled
    assert (("ScaledObject", "kern-worker") in built) is autoscaled


def test_pods_run_as_nobody_with_nothing() -> None:
    for pod in pods().values():
        [container] = pod["containers"]
        assert pod["securityContext"]["runAsNonRoot"]
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }


def test_the_probes_ask_what_kern_answers() -> None:
    for name, pod in pods().items():
        [container] = pod["containers"]
        arguments = commands()[f"kubernetes {name}"]
        port = int(arguments[arguments.index("--port") + 1])
        named = {each["name"]: each["containerPort"] for each in container["ports"]}
        asked = {}
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            get = container[probe]["httpGet"]
            assert named[get["port"]] == port
            asked[probe] = get["path"]
        assert asked == {
            "startupProbe": "/healthz",
            "readinessProbe": "/readyz",
            "livenessProbe": "/healthz",
        }


def test_a_worker_is_not_restarted_sooner_than_its_runs_are_given_up() -> None:
    probe = pods()["kern-worker"]["containers"][0]["livenessProbe"]
    assert probe["periodSeconds"] * probe["failureThreshold"] > 300


def test_workers_are_scaled_by_a_metric_that_there_is() -> None:
    [scaled] = [each for each in manifests() if each["kind"] == "ScaledObject"]
    [trigger] = scaled["spec"]["triggers"]
    query = trigger["metadata"]["query"]
    [(metric, states)] = re.findall(r'(kern_\w+)\{.*state=~"([a-z|]+)"\}', query)
    told = as_text(Load(0, 0, 0, 0, None)).decode()
    for state in states.split("|"):
        assert f'{metric}{{state="{state}"}}' in told
    arguments = commands()["kubernetes kern-worker"]
    slots = int(arguments[arguments.index("--concurrency") + 1])
    assert int(trigger["metadata"]["threshold"]) < slots
