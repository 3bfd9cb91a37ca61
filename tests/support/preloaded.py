"""What the process has loaded that other processes of the tests are forked from.

The forkserver passes over what it does not find, and does not know the path of this directory.
"""

import sys
from pathlib import Path

from docstring_parser import parse
from genai_prices import Usage, calc_price

sys.path.insert(0, str(Path(__file__).parent))

import cookbook_scripts
import crash
import in_background
import jsonschema.validators
import workers

import kern.tools.state
import tests.soak.preloaded

__all__ = ["cookbook_scripts", "crash", "in_background", "jsonschema", "kern", "tests", "workers"]

# What is loaded and compiled at the first price, and at the first docstring of a tool.
calc_price(Usage(), "gpt-5.4-mini")
parse("Return nothing.")
