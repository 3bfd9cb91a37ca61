"""A tag is released where the version, the package and the changelog say the same."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CHANGELOG = "# Changelog\n\n## [1.2.0] - 2026-01-31\n\n- new\n\n## [1.1.0] - 2025-01-31\n\n- old\n"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / "scripts").mkdir()
    shutil.copy(ROOT / "scripts" / "check_release.sh", tmp_path / "scripts")
    (tmp_path / "src" / "kern").mkdir(parents=True)
    (tmp_path / "src" / "kern" / "__init__.py").write_text('__version__ = "1.2.0"\n')
    (tmp_path / "pyproject.toml").write_text('[project]\nversion = "1.2.0"\n')
    (tmp_path / "CHANGELOG.md").write_text(CHANGELOG)
    return tmp_path


def released(checkout: Path, tag: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [checkout / "scripts" / "check_release.sh", tag, checkout / "notes.md"],
        capture_output=True,
        text=True,
    )


def test_its_section_of_the_changelog_becomes_the_notes(checkout: Path) -> None:
    assert released(checkout, "v1.2.0").returncode == 0
    assert (checkout / "notes.md").read_text().strip() == "- new"


@pytest.mark.parametrize(
    ("tag", "path", "text", "says"),
    [
        ("v1.3.0", "CHANGELOG.md", CHANGELOG, "the tag is v1.3.0"),
        ("v1.2.0", "src/kern/__init__.py", '__version__ = "1.1.0"\n', "kern.__version__ is not"),
        ("v1.2.0", "CHANGELOG.md", CHANGELOG.replace("2026-01-31", "Unreleased"), "with a date"),
        ("v1.2.0", "CHANGELOG.md", CHANGELOG.replace("- new", ""), "says nothing of 1.2.0"),
    ],
)
def test_what_does_not_fit_is_refused(
    checkout: Path, tag: str, path: str, text: str, says: str
) -> None:
    (checkout / path).write_text(text)
    refused = released(checkout, tag)
    assert refused.returncode == 1
    assert says in refused.stderr
