"""What ``kern keys`` prints and does."""

import asyncio
import json
from pathlib import Path

import pytest
from command import invoked

from kern.cli.database import open_database


def test_a_key_is_the_last_word_of_what_is_printed_once(where: list[str]) -> None:
    exit_code, shown = invoked(where, "keys", "create", "--user", "alice", "--scope", "approve")
    assert exit_code == 0
    secret = shown.split()[-1]
    with open_database(where[1], where[3]) as db:
        found = asyncio.run(db.afind_key(secret))
    assert found is not None
    assert (found.user_id, found.scopes, found.agents) == ("alice", ("approve",), None)
    listed = invoked(where, "keys", "list", "--json")[1]
    assert secret not in listed
    [key] = json.loads(listed)
    assert key["key_id"] == found.key_id
    assert found.key_id in invoked(where, "keys", "list")[1]


def test_a_key_has_agents_a_name_an_end_and_its_user_a_budget(where: list[str]) -> None:
    options = ["--agent", "research", "--agent", "writer", "--expires-in", "30d", "--name", "CI"]
    exit_code, shown = invoked(
        where, "keys", "create", "--user", "alice", *options, "--budget", "20", "--json"
    )
    assert exit_code == 0
    made = json.loads(shown)
    assert (made["agents"], made["name"], made["scopes"]) == (
        ["research", "writer"],
        "CI",
        ["runs"],
    )
    assert made["expires_at"] > made["created_at"]
    assert made["key"].startswith("kern_sk_")
    [budget] = json.loads(invoked(where, "budgets", "list", "--json")[1])
    assert (budget["user_id"], budget["per"], budget["cost"]) == ("alice", "month", 20)


def test_a_key_is_revoked(where: list[str]) -> None:
    made = json.loads(invoked(where, "keys", "create", "--user", "alice", "--json")[1])
    revoked = (0, f"The key {made['key_id']} is revoked\n")
    assert invoked(where, "keys", "revoke", made["key_id"]) == revoked
    assert invoked(where, "keys", "revoke", made["key_id"])[0] == 1
    assert "revoked" in invoked(where, "keys", "list", "--user", "alice")[1]
    assert invoked(where, "keys", "list", "--user", "bob") == (0, "No keys.\n")


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("create",), "--user"),
        (("create", "--user", "alice", "--scope", "run"), "Did you mean 'runs'?"),
        (("create", "--user", "alice", "--expires-in", "soon"), "--expires-in must be a number"),
        (("create", "--user", "alice", "--expires-in", "0d"), "longer than nothing"),
        (("create", "--user", "alice", "--budget", "0"), "above 0"),
        (("revoke", "unknown"), "There is no key unknown"),
    ],
)
def test_what_makes_no_sense_is_refused(
    tmp_path: Path, command: tuple[str, ...], said: str
) -> None:
    where = ["--db", f"sqlite:///{tmp_path / 'kern.db'}"]
    invoked(where, "db", "migrate")
    exit_code, shown = invoked(where, "keys", *command)
    assert exit_code != 0
    assert said in shown
    assert json.loads(invoked(where, "keys", "list", "--json")[1]) == []
