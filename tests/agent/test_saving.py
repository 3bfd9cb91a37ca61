"""Agents are saved as versions, and loaded by id, version or label, also by other processes."""

import json
from pathlib import Path

import pytest
from elsewhere import Elsewhere
from kept_parts import price, refund

from kern.agent import Agent
from kern.db.database import Database
from kern.db.in_memory import InMemoryDb
from kern.db.postgres import PostgresDb
from kern.db.sqlite import SqliteDb
from kern.errors import ComponentNotFoundError, ConfigurationError, InvalidInputError
from kern.models.openai import OpenAIResponses
from kern.registry import Registry
from kern.run.given import RunInput
from kern.testing import ResponsesServer

ALLOWED = Registry(modules=["kept_parts"])


class Look:
    def look(self, run_input: RunInput) -> None:
        """Look at what a run is given."""


async def test_versions_are_loaded_by_number_and_label(db: Database) -> None:
    agent = Agent("Shop", "openai:gpt-5.4", instructions="First.", db=db)
    assert await agent.asave(label="stable", notes="as it began") == 1
    agent.instructions = "Second."
    assert await agent.asave() == 2
    agent.instructions = "Third."
    assert await agent.asave(stage="draft") == 3
    for options, told in (
        ({}, "Second."),
        ({"version": 1}, "First."),
        ({"version": 3}, "Third."),
        ({"label": "stable"}, "First."),
    ):
        found = await Agent.aload("shop", db=db, **options)
        assert (found.instructions, found.db, found.name) == (told, db, "Shop")
    assert await db.aset_current_version("shop", 1)
    assert (await Agent.aload("shop", db=db)).instructions == "First."


async def test_what_is_not_there_is_said(db: Database) -> None:
    await Agent("Shop", "openai:x").asave(db=db, stage="draft")
    for options, told in (
        ({}, "There is no agent 'shop' in "),
        ({"version": 2}, "There is no agent 'shop' of the version 2 in "),
        ({"label": "stable"}, "There is no agent 'shop' with the label 'stable' in "),
    ):
        with pytest.raises(ComponentNotFoundError) as raised:
            await Agent.aload("shop", db=db, **options)
        assert told in raised.value.message
        assert "list_configs('shop')" in raised.value.message
    with pytest.raises(ConfigurationError, match=r"load\(db=\.\.\.\)"):
        await Agent.aload("shop")
    with pytest.raises(InvalidInputError):
        await Agent.aload("shop", db=db, version=0)


async def test_a_deleted_agent_is_had_back(db: Database) -> None:
    agent = Agent("Shop", "openai:x", db=db)
    await agent.asave()
    assert await agent.adelete()
    assert not await agent.adelete()
    with pytest.raises(ComponentNotFoundError):
        await Agent.aload("shop", db=db)
    assert await agent.asave() == 2
    assert await db.aset_current_version("shop", 1)
    assert (await Agent.aload("shop", db=db)).id == "shop"
    assert await agent.adelete(hard_delete=True)
    assert await agent.asave() == 1


async def test_a_config_is_a_dict(db: Database) -> None:
    for config in (None, [1], "x"):
        with pytest.raises(InvalidInputError, match="config must be a dict"):
            await db.aupsert_config("clerk", config)  # type: ignore[arg-type]


async def test_what_cannot_be_kept_leaves_no_version(db: Database) -> None:
    agent = Agent("Shop", "openai:x", db=db, dependencies={"town": "Graz"}, pre_hooks=[Look().look])
    with pytest.raises(ConfigurationError) as raised:
        await agent.asave()
    assert "dependencies.town" in str(raised.value)
    assert "pre_hooks[0]" in str(raised.value)
    assert await db.alist_configs("shop") == []


async def test_its_database_is_the_one_in_which_it_is(db: Database) -> None:
    runs = InMemoryDb()
    helper = Agent("Helper", "openai:x", db=PostgresDb("postgresql://me:secret@localhost/ai"))
    agent = Agent("Shop", "openai:x", db=runs, tools=[helper.as_tool()])
    await agent.asave(db=db)
    assert (await Agent.aload("shop", db=db)).db is db
    registry = Registry(values={"runs": runs})
    await agent.asave(db=db, registry=registry)
    assert (await Agent.aload("shop", db=db, registry=registry)).db is runs
    with pytest.raises(ConfigurationError, match=r"db: The registry has no 'runs'"):
        await Agent.aload("shop", db=db)
    await Agent("Other", "openai:x").asave(db=db)
    assert (await Agent.aload("other", db=db)).db is db


async def test_a_loaded_agent_executes_runs_as_the_saved_one_would(
    db: Database, server: ResponsesServer, model: OpenAIResponses
) -> None:
    saved = Agent("Shop", model, instructions="Sell.", tools=[price, refund], db=db)
    registry = Registry(models=[model], modules=["kept_parts"])
    await saved.asave(registry=registry)
    loaded = await Agent.aload("shop", db=db, registry=registry)
    for agent in (saved, loaded):
        run = await agent.arun("Hello.", background=True)
        await agent.await_run(run.run_id, timeout=20)
    bodies = [json.dumps(each.body["input"]) for each in server.requests]
    assert bodies[0] == bodies[1]
    assert server.requests[0].body["tools"] == server.requests[1].body["tools"]


async def test_processes_that_save_at_once_get_a_version_each(
    agent: Agent, shared_db: Database, elsewhere: Elsewhere
) -> None:
    savers = [
        elsewhere(
            """
    say("ready")
    await hear()
    say(*[await agent.asave(label="newest") for _ in range(5)])
    """
        )
        for _ in range(2)
    ]
    for saver in savers:
        assert await saver.said() == "ready"
    for saver in savers:
        saver.tell("Go.")
    told = [(await saver.said()).split() for saver in savers]
    assert [await saver.ended() for saver in savers] == [0, 0]
    assert sorted(int(each) for each in (*told[0], *told[1])) == [*range(1, 11)]

    versions = await shared_db.alist_configs("tester")
    assert [each["version"] for each in versions if each["label"] == "newest"] == [10]
    assert [each["version"] for each in versions if each["is_current"]] == [10]


def test_the_methods_without_an_event_loop(tmp_path: Path) -> None:
    db = SqliteDb(str(tmp_path / "kept.db"))
    agent = Agent("Shop", "openai:x", db=db, tools=[price])
    assert agent.save() == 1
    assert Agent.load("shop", db=db, registry=ALLOWED).save(db=db, registry=ALLOWED) == 2
    assert agent.delete()
