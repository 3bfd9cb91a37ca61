"""What the tests of the cookbook share."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from cookbook_scripts import Cookbook

from kern.testing import ProtocolServer


@pytest.fixture
def cookbook(tmp_path: Path) -> Iterator[Cookbook]:
    """Run scripts of the cookbook, with a server of their own for their models."""
    with ProtocolServer() as server:
        yield Cookbook(server, tmp_path)
