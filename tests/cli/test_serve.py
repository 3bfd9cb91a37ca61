"""``kern serve`` listens where it is told, but not for others than it knows."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from kern.cli.main import app
from kern.cli.serve.options import Options, auth_of
from kern.errors import ConfigurationError


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_on_its_own_machine_nobody_has_to_say_who_they_are(host: str) -> None:
    assert auth_of(host, None, insecure=False) == "none"
    assert auth_of(host, "none", insecure=False) == "none"
    assert auth_of(host, "keys", insecure=False) == "keys"


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "", "192.168.1.5", "example.com", "localhost.example.com"]
)
def test_beyond_it_somebody_has_to_say_that_everybody_may_ask(host: str) -> None:
    for auth in (None, "none"):
        with pytest.raises(ConfigurationError, match="--auth keys"):
            auth_of(host, auth, insecure=False)
        assert auth_of(host, auth, insecure=True) == "insecure"
    assert auth_of(host, "jwt", insecure=False) == "jwt"
    assert auth_of(host, "keys", insecure=True) == "keys"


def test_it_refuses_before_it_imports_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "served.py").write_text("raise SystemExit('imported')")
    done = CliRunner().invoke(app, ["serve", "served:agent", "--host", "0.0.0.0"])
    assert done.exit_code == 1
    assert done.stderr.startswith("Error: 0.0.0.0 can be reached from other machines")


def test_what_cannot_be_served_is_said_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "unserved.py").write_text(
        "from kern.agent import Agent\nagent = Agent('Tester', 'openai:m')"
    )
    done = CliRunner().invoke(app, ["serve", "unserved:agent"])
    assert (done.exit_code, done.stderr.count("\n")) == (1, 1)
    assert "has no database" in done.stderr


def test_other_processes_are_told_what_was_chosen() -> None:
    options = Options(["app:agent"], "keys", False, 2, 3.5, "json")
    assert Options.from_json(options.to_json()) == options
    assert json.loads(options.to_json())["auth"] == "keys"
