"""An agent whose runs read the files that they name is not begun over HTTP."""

import pytest

from kern.db.in_memory import InMemoryDb
from kern.errors import ConfigurationError
from kern.knowledge import Knowledge
from kern.server import create_app


def test_the_loader_of_a_knowledge_base_is_refused() -> None:
    loader = Knowledge("plants").loader(InMemoryDb())
    with pytest.raises(ConfigurationError, match="reads the files of this machine"):
        create_app([loader])
