"""The lock of the demonstration is a part of the lock of everything, and the part that it needs."""

import re
import tomllib
from itertools import chain
from pathlib import Path

ROOT = Path(__file__).parents[1]


def locked(name: str) -> dict[str, str]:
    """Return the packages of a lock with what is said of each, hashes included."""
    text = re.sub(r"^ *#.*\n", "", (ROOT / name).read_text(), flags=re.MULTILINE)
    return {each.partition("==")[0]: each for each in re.split(r"\n(?=[a-z])", text.strip())}


def names(requirements: list[str]) -> set[str]:
    """Return the packages that requirements name, kern's own extras left out."""
    found = {re.split(r"[^\w-]", each)[0].lower().replace("_", "-") for each in requirements}
    return found - {"kern-agents"}


def test_the_demonstration_installs_a_part_of_what_is_tested() -> None:
    everything, demo = locked("requirements.lock"), locked("requirements-demo.lock")
    assert len(demo) < len(everything)
    assert demo.items() <= everything.items()


def test_the_demonstration_has_all_extras_and_nothing_of_development() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    groups = {name: names(found) for name, found in project["dependency-groups"].items()}
    extras = names([*chain(*project["project"]["optional-dependencies"].values())])
    needed = names(project["project"]["dependencies"]) | extras | groups["demo"]
    demo = locked("requirements-demo.lock").keys()
    assert needed <= demo
    assert not {"mypy", "playwright", "pytest", "ruff", "sphinx"} & demo
