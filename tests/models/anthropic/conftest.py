"""Claude at the test's server."""

import os

import pytest
from claude_says import NewClaude

from kern.models.anthropic import Claude
from kern.testing import ProtocolServer


@pytest.fixture
def new_claude(server: ProtocolServer) -> NewClaude:
    """Make a model at the server, which gives up at the first error unless told otherwise."""
    # Kept for as long as the event loop, which closes their connections at its end.
    models: list[Claude] = []

    def make(**options: object) -> Claude:
        # What is marked for the prompt cache has tests of its own.
        usual = {
            "base_url": server.url,
            "api_key": "sk-ant-test",
            "max_retries": 0,
            "cache_conversation": False,
        }
        models.append(Claude("claude-test", **(usual | options)))  # type: ignore[arg-type]
        return models[-1]

    return make


@pytest.fixture
def claude(new_claude: NewClaude) -> Claude:
    """The usual one."""
    return new_claude()


@pytest.fixture(autouse=True)
def _no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep what the machine's environment sets away from the tests."""
    for name in [*os.environ]:
        if name.startswith("ANTHROPIC_"):
            monkeypatch.delenv(name)
