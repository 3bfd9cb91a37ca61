"""What deploy/ has its processes do: the command lines of kern in it, wherever they are written."""

import json
import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml

DEPLOY = Path(__file__).parents[2] / "deploy"
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))


@cache
def compose() -> dict[str, Any]:
    """Return what compose.yaml says."""
    found: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    return found


def manifests(*directories: str) -> Iterator[dict[str, Any]]:
    """Yield the objects of the manifests, without what is for kustomize alone."""
    for directory in directories or ("kubernetes", "kubernetes/autoscaling"):
        for path in sorted((DEPLOY / directory).glob("*.yaml")):
            if path.name != "kustomization.yaml":
                yield from yaml.safe_load_all(path.read_text())


@cache
def pods() -> dict[str, dict[str, Any]]:
    """Return what a pod of each deployment is, by the deployment's name."""
    return {
        each["metadata"]["name"]: each["spec"]["template"]["spec"]
        for each in manifests()
        if each["kind"] == "Deployment"
    }


def dockerfile(instruction: str) -> list[str]:
    """Return the words of the last such instruction of the Dockerfile, which is in JSON."""
    text = (DEPLOY / "Dockerfile").read_text().replace("\\\n", " ")
    found = re.findall(rf"^{instruction}\b[^\[]*(\[.*\])$", text, re.MULTILINE)
    words: list[str] = json.loads(found[-1])
    return words


def unit(path: Path, setting: str) -> str:
    """Return a setting of a systemd unit."""
    [found] = re.findall(rf"^{setting}=(.*)$", path.read_text(), re.MULTILINE)
    return str(found)


@cache
def commands() -> dict[str, list[str]]:
    """Return the arguments of each command line of kern, by where it is."""
    found = {"Dockerfile": dockerfile("CMD")}
    for name, service in compose()["services"].items():
        if "command" in service:
            found[f"compose {name}"] = service["command"]
    for name, pod in pods().items():
        found[f"kubernetes {name}"] = pod["containers"][0]["args"]
    for path in UNITS:
        program, *found[f"systemd {path.stem}"] = shlex.split(unit(path, "ExecStart"))
        assert program.endswith("/kern")
    return found


def grace(command: list[str]) -> float:
    """Return the seconds that a command gives what is under way at its end."""
    return float(command[command.index("--grace") + 1])
