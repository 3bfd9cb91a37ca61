"""Every script of the cookbook is run by a test, and the index names each."""

from pathlib import Path

import pytest
from cookbook_scripts import COOKBOOK

SCRIPTS = [path for path in sorted(COOKBOOK.rglob("*.py")) if path.parts[-3] == "02_agents"]
TESTS = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))


@pytest.mark.parametrize("script", [str(path.relative_to(COOKBOOK)) for path in SCRIPTS])
def test_the_script_is_run_and_listed(script: str) -> None:
    assert Path(script).name in TESTS
    assert f"({script})" in (COOKBOOK / "README.md").read_text()
