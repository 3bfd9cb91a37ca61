"""Every script of the cookbook is run by a test, and listed in the index."""

from pathlib import Path

from cookbook_scripts import COOKBOOK

SCRIPTS = sorted(path.relative_to(COOKBOOK) for path in COOKBOOK.glob("02_agents/*/*.py"))


def test_each_script_is_run() -> None:
    tests = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    assert len(SCRIPTS) > 60
    assert [path for path in SCRIPTS if path.name not in tests] == []


def test_each_script_is_listed() -> None:
    index = (COOKBOOK / "README.md").read_text()
    assert [path for path in SCRIPTS if f"({path})" not in index] == []
