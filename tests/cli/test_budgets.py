"""What ``kern budgets`` prints and does, and how ``kern runs`` shows what runs cost."""

import asyncio
import json
from pathlib import Path

import pytest
from command import invoked

from kern.agent import Agent
from kern.cli.database import open_database
from kern.models.prices import Price
from kern.testing import Reply, ScriptedModel, Usage


async def spend(where: list[str], price: Price | None) -> None:
    async with open_database(where[1], where[3]) as db:
        model = ScriptedModel([Reply.text("Hello.").counting(Usage(10, 5))])
        model.price = price
        await Agent("Tester", model, db=db).arun("Hello?", user_id="alice", run_id="run")


def test_budgets_are_set_shown_and_deleted(where: list[str]) -> None:
    assert invoked(where, "budgets", "list") == (0, "No budgets.\n")
    told = (0, "alice may use $20 and 1,000,000 tokens per month\n")
    command = ("budgets", "set", "alice", "--per", "month", "--cost", "20", "--tokens", "1000000")
    assert invoked(where, *command) == told
    assert invoked(where, "budgets", "set", "--cost", "0.5") == (
        0,
        "everybody may use $0.5 per day\n",
    )
    exit_code, shown = invoked(where, "budgets", "list")
    assert exit_code == 0
    lines = [line.split() for line in shown.splitlines()]
    assert lines[1:] == [
        ["everybody", "day", "$0.5"],
        ["alice", "month", "$20", "and", "1,000,000", "tokens"],
    ]
    deleted = (0, "The budget of alice per month is deleted\n")
    assert invoked(where, "budgets", "delete", "alice", "--per", "month") == deleted
    missing = (1, "There is no budget of alice per month.\n")
    assert invoked(where, "budgets", "delete", "alice", "--per", "month") == missing
    [left] = json.loads(invoked(where, "budgets", "list", "--json")[1])
    assert left == {"user_id": None, "per": "day", "cost": 0.5, "tokens": None}


def test_what_a_user_has_used_is_shown(where: list[str]) -> None:
    assert invoked(where, "budgets", "set", "--cost", "0.02")[0] == 0
    asyncio.run(spend(where, Price(input=1000, output=2000)))
    [used] = json.loads(invoked(where, "budgets", "list", "--user", "alice", "--json")[1])
    assert (used["user_id"], used["used_cost"], used["used_tokens"]) == (None, 0.02, 15)
    assert used["resets_at"].endswith("T00:00:00+00:00")
    assert "$0.0200, 15 tokens" in invoked(where, "budgets", "list", "--user", "alice")[1]


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("set", "alice"), "a cost, a number of tokens, or both"),
        (("set", "alice", "--cost", "0"), "above 0"),
        (("set", "alice", "--cost", "1", "--per", "year"), "hour, day, week, month"),
        (("delete", "alice", "--per", "year"), "hour, day, week, month"),
    ],
)
def test_what_makes_no_sense_is_refused(
    tmp_path: Path, command: tuple[str, ...], said: str
) -> None:
    where = ["--db", f"sqlite:///{tmp_path / 'kern.db'}"]
    invoked(where, "db", "migrate")
    exit_code, shown = invoked(where, "budgets", *command)
    assert exit_code == 1
    assert said in shown


def test_a_runs_cost_is_shown(where: list[str]) -> None:
    asyncio.run(spend(where, Price(input=1000, output=2000)))
    [listed] = json.loads(invoked(where, "runs", "list", "--json")[1])
    assert listed["metrics"]["cost"] == 0.02
    assert "unpriced_calls" not in listed["metrics"]
    shown = json.loads(invoked(where, "runs", "show", "run", "--json")[1])
    assert shown["metrics"]["cost"] == 0.02
    text = invoked(where, "runs", "show", "run")[1]
    assert ["Cost", "$0.0200"] in [line.split() for line in text.splitlines()]
    assert "10 + 5 tokens, $0.0200: Hello." in text


def test_an_unknown_cost_is_shown_as_such(where: list[str]) -> None:
    asyncio.run(spend(where, None))
    text = invoked(where, "runs", "show", "run")[1]
    assert "unknown for 1 model call" in text
