"""The page of settings names every variable of the environment that kern reads."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
NAME = re.compile(r"(?<!\w)KERN_[A-Z_]+")


def test_every_variable_is_on_the_page() -> None:
    read = {
        name for file in ROOT.glob("src/kern/**/*.py") for name in NAME.findall(file.read_text())
    }
    page = {*NAME.findall((ROOT / "docs/reference/settings.md").read_text())}
    assert len(read) > 15
    assert page == read
