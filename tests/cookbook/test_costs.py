"""The examples of docs/guides/costs.md do what the page says."""

import re
from pathlib import Path

import pytest
from cookbook_scripts import Cookbook

from kern.testing import Reply, Usage

PAGE = Path(__file__).parents[2] / "docs/guides/costs.md"

EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)

# What each prints, as a regular expression.
PRINTED = [r"0\.00525\n0\.00525\n", "", r"Paris\.\nday 0\.005 2000 .*\nmonth 0\.005 2000 .*\n"]


@pytest.mark.parametrize(("example", "printed"), [*zip(EXAMPLES, PRINTED, strict=True)])
def test_the_example_runs(cookbook: Cookbook, example: str, printed: str) -> None:
    cookbook.server.default = Reply.text("Paris.").counting(Usage(1000, 1000))
    out = cookbook.program("import warnings\nwarnings.simplefilter('error')\n" + example)
    assert re.fullmatch(printed, out), out
