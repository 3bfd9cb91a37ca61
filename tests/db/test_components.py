"""Agents at rest: versions that are counted, named, made current, deleted and had back."""

import asyncio
from collections.abc import Callable

import pytest

from kern.db.base import Store
from kern.db.components import NewVersion
from kern.db.database import Database
from kern.db.in_memory import InMemoryDb
from kern.db.postgres import AsyncPostgresDb, PostgresDb
from kern.errors import InvalidInputError


async def numbers(db: Database, component_id: str = "shop") -> list[object]:
    return [each["version"] for each in await db.alist_configs(component_id)]


async def test_versions_are_counted_from_1_and_the_last_published_one_is_current(
    db: Database,
) -> None:
    first = await db.aupsert_config("shop", {"n": 1}, notes="the first")
    assert (first["version"], first["is_current"], first["notes"]) == (1, True, "the first")
    await db.aupsert_config("shop", {"n": 2})
    await db.aupsert_config("shop", {"n": 3}, stage="draft")
    await db.aupsert_config("other", {"n": 1})
    assert await numbers(db) == [3, 2, 1]
    current = await db.aget_config("shop")
    assert current is not None
    assert current["config"] == {"n": 2}
    draft = await db.aget_config("shop", 3)
    assert draft is not None
    assert (draft["stage"], draft["is_current"]) == ("draft", False)
    assert await db.aget_config("shop", 4) is None
    assert await db.aget_config("unknown") is None
    listed = await db.alist_configs("shop", include_config=True)
    assert [each["config"] for each in listed] == [{"n": 3}, {"n": 2}, {"n": 1}]
    assert all("config" not in each for each in await db.alist_configs("shop"))


async def test_a_label_is_on_one_version(db: Database) -> None:
    await db.aupsert_config("shop", {"n": 1}, label="stable")
    await db.aupsert_config("shop", {"n": 2}, label="stable", stage="draft")
    await db.aupsert_config("other", {"n": 1}, label="stable")
    found = await db.aget_config("shop", label="stable")
    assert found is not None
    assert found["version"] == 2
    assert [each["label"] for each in await db.alist_configs("shop")] == ["stable", None]
    with pytest.raises(InvalidInputError, match="version or label"):
        await db.aget_config("shop", 1, "stable")


async def test_a_draft_is_changed_until_it_is_published(db: Database) -> None:
    await db.aupsert_config("shop", {"n": 1})
    await db.aupsert_config("shop", {"n": 2}, stage="draft", notes="tried")
    await db.aupsert_config("shop", {"n": 2.5}, 2, stage="draft")
    assert not await db.aset_current_version("shop", 2)
    changed = await db.aupsert_config("shop", {"n": 3}, 2)
    assert changed["config"] == {"n": 3}
    assert (changed["is_current"], changed["notes"]) == (True, "tried")
    for version in (1, 2, 7):
        with pytest.raises(InvalidInputError, match=f"no draft of the version {version}"):
            await db.aupsert_config("shop", {"n": 4}, version)
    assert await numbers(db) == [2, 1]


async def test_an_earlier_version_is_made_current_again(db: Database) -> None:
    for n in (1, 2):
        await db.aupsert_config("shop", {"n": n})
    assert await db.aset_current_version("shop", 1)
    current = await db.aget_config("shop")
    assert current is not None
    assert current["version"] == 1
    assert not await db.aset_current_version("shop", 3)
    assert not await db.aset_current_version("unknown", 1)
    assert await db.aget_config("shop") == current
    third = await db.aupsert_config("shop", {"n": 3})
    assert third["is_current"]


async def test_what_is_deleted_softly_is_had_back_and_counted_on(db: Database) -> None:
    for n in (1, 2):
        await db.aupsert_config("shop", {"n": n})
    assert await db.adelete_component("shop")
    assert not await db.adelete_component("shop")
    assert await db.aget_config("shop") is None
    assert await db.aget_config("shop", 1) is None
    assert (await numbers(db), await db.alist_components()) == ([], ([], 0))
    assert (await db.aupsert_config("shop", {"n": 3}))["version"] == 3
    assert await db.aset_current_version("shop", 1)
    assert await numbers(db) == [3, 1]
    assert await db.adelete_component("shop", hard_delete=True)
    assert (await db.aupsert_config("shop", {"n": 1}))["version"] == 1


async def test_a_version_alone_is_deleted_unless_it_is_the_current_one(db: Database) -> None:
    for n in (1, 2, 3):
        await db.aupsert_config("shop", {"n": n})
    assert not await db.adelete_config("shop", 3)
    assert await db.adelete_config("shop", 2)
    assert await db.adelete_config("shop", 1, hard_delete=True)
    assert not await db.aset_current_version("shop", 1)
    assert await db.aset_current_version("shop", 2)
    assert await numbers(db) == [3, 2]


async def test_components_are_listed_by_id_page_by_page(db: Database) -> None:
    for name in ("c", "a", "b"):
        await db.aupsert_config(name, {})
        await db.aupsert_config(name, {}, stage="draft")
    await db.aupsert_config("crew", {}, stage="draft", component_type="team")
    found, total = await db.alist_components(limit=3)
    assert [(each["component_id"], each["version"]) for each in found] == [
        ("a", 1),
        ("b", 1),
        ("c", 1),
    ]
    assert total == 4
    [team], _ = await db.alist_components(limit=3, page=2)
    assert (team["component_id"], team["component_type"]) == ("crew", "team")
    assert (await db.alist_components("team"))[1] == 1
    assert "config" not in team


async def test_an_id_is_that_of_an_agent_or_of_a_team(db: Database) -> None:
    await db.aupsert_config("shop", {})
    with pytest.raises(InvalidInputError, match="no team, but a component of another type"):
        await db.aupsert_config("shop", {}, component_type="team")
    assert await numbers(db) == [1]


async def test_savers_at_once_get_a_version_each(store: Store) -> None:
    new = NewVersion("shop", "agent", "{}", label="stable")
    found = await asyncio.gather(*(store.components.add(new) for _ in range(20)))
    assert sorted(each for each in found if each is not None) == [*range(1, 21)]
    versions = await store.components.versions("shop")
    assert [each.version for each in versions if each.is_current] == [
        max(each.version for each in versions if each.label == "stable")
    ]


async def test_texts_come_back_as_they_were(db: Database) -> None:
    config = {"text": "\0 \ud800 ü 💡", "list": [1, 2.5, None, True]}
    await db.aupsert_config("shop", config)
    found = await db.aget_config("shop")
    assert found is not None
    assert found["config"] == config


@pytest.mark.parametrize(
    "wrong",
    [
        lambda db: db.aupsert_config("", {}),
        lambda db: db.aupsert_config("shop", {"x": object()}),
        lambda db: db.aupsert_config("shop", {"x": float("nan")}),
        lambda db: db.aupsert_config("shop", {}, stage="current"),
        lambda db: db.aupsert_config("shop", {}, label=""),
        lambda db: db.aupsert_config("shop", {}, notes="\0"),
        lambda db: db.aupsert_config("shop", {}, component_type="workflow"),
        lambda db: db.aupsert_config("shop", {}, 0),
        lambda db: db.aget_config("shop", True),
        lambda db: db.aset_current_version("shop", "1"),
        lambda db: db.alist_components(limit=0),
        lambda db: db.alist_components("workflow"),
        lambda db: db.adelete_config("shop", -1),
    ],
)
async def test_bad_input_is_refused(wrong: Callable[[Database], object]) -> None:
    db = InMemoryDb()
    with pytest.raises(InvalidInputError):
        await wrong(db)  # type: ignore[misc] # it is awaitable
    assert await numbers(db) == []


def test_the_methods_of_a_synchronous_database_return_at_once() -> None:
    db = InMemoryDb()
    assert db.upsert_config("shop", {})["version"] == 1
    assert db.get_config("shop") is not None
    assert db.list_components()[1] == 1
    assert db.set_current_version("shop", 1)
    assert db.delete_component("shop")


async def test_those_of_an_awaited_one_are_awaited(postgres_db: PostgresDb) -> None:
    async with AsyncPostgresDb(postgres_db._dsn, postgres_db.session_table) as db:
        await db.upsert_config("shop", {})
        [only] = await db.list_configs("shop")
        assert only["version"] == 1
