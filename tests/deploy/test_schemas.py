"""Compose, the workflows, the issue forms and the rest are what their readers take."""

import re
from pathlib import Path

import pytest
import yaml
from check_jsonschema import main
from click.testing import CliRunner

ROOT = Path(__file__).parents[2]
GITHUB = ROOT / ".github"
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yml"))


@pytest.mark.parametrize(
    ("schema", "files"),
    [
        ("vendor.compose-spec", [ROOT / "deploy" / "compose.yaml"]),
        ("vendor.dependabot", [GITHUB / "dependabot.yml"]),
        ("vendor.github-workflows", WORKFLOWS),
        ("vendor.github-issue-config", [GITHUB / "ISSUE_TEMPLATE" / "config.yml"]),
        ("vendor.github-issue-forms", sorted((GITHUB / "ISSUE_TEMPLATE").glob("[!c]*.yml"))),
    ],
)
def test_a_file_fits_its_schema(schema: str, files: list[Path]) -> None:
    assert files
    done = CliRunner().invoke(main, ["--builtin-schema", schema, *map(str, files)])
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_runs_scripts_that_there_are_and_actions_by_their_commit(path: Path) -> None:
    workflow = yaml.safe_load(path.read_text())
    assert workflow["permissions"] == {}
    steps = [step for job in workflow["jobs"].values() for step in job.get("steps", [])]
    for step in steps:
        if "uses" in step:
            assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", step["uses"])
        elif found := re.match(r"(?:sudo )?((?:scripts/|\.ci/)\S+)", step["run"]):
            assert (ROOT / found[1]).stat().st_mode & 0o100
            # What an expression says would be read by the shell.
            assert "${{" not in step["run"]


def test_the_workflow_has_each_python_that_kern_is_for_and_each_postgresql() -> None:
    jobs = yaml.safe_load((GITHUB / "workflows" / "ci.yml").read_text())["jobs"]
    classifiers = re.findall(r"Python :: (3\.\d+)\"", (ROOT / "pyproject.toml").read_text())
    assert jobs["python"]["strategy"]["matrix"]["python"] == classifiers
    offered = re.findall(r"^ +(\d\d)\)", (ROOT / "scripts" / "test_postgres.sh").read_text(), re.M)
    assert jobs["postgres"]["strategy"]["matrix"]["postgres"] == offered
