"""Ids of any script and length: of agents, runs, sessions and users."""

import random
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from unicodedata import normalize

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kern.agent import Agent
from kern.db.database import Database
from kern.db.in_memory import InMemoryDb
from kern.db.postgres import PostgresDb
from kern.db.sqlite import SqliteDb
from kern.errors import ConfigurationError, InvalidInputError
from kern.models.openai import OpenAIResponses
from kern.run.base import RunStatus

MODEL = OpenAIResponses("any", api_key="none")


@pytest.mark.parametrize(
    ("name", "id"),
    [
        ("Market Research", "market-research"),
        ("Ünï Code!", "ünï-code"),
        ("a_b (EU)", "a_b-eu"),
        ("研究 员", "研究-员"),
        ("باحث السوق", "باحث-السوق"),
        ("हिन्दी", "हिन्दी"),
        ("ก็", "ก็"),
        ("Team 🤖", "team-🤖"),
        ("☃", "☃"),
        ("👨\u200d👩\u200d👧", "👨\u200d👩\u200d👧"),
        ("C++ / C#", "c++-c#"),
        ("???", "???"),
        ("a\u202eb", "a-b"),
    ],
)
def test_the_name_makes_the_id(name: str, id: str) -> None:
    assert Agent(name, MODEL).id == id


def test_names_that_differ_in_more_than_what_separates_words_make_different_ids() -> None:
    names = [
        "🤖",
        "🚀",
        "👨\u200d👩\u200d👧",
        "👨👩👧",
        "C",
        "C++",
        "C#",
        "हिन्दी",
        "हन्दी",
        "!",
        "?",
        "é",
        "e",
    ]
    assert len({Agent(name, MODEL).id for name in names}) == len(names)


@pytest.mark.parametrize("name", ["Café", "Ångström", "한국어", "İstanbul", "ガ"])
def test_a_name_makes_one_id_however_its_characters_are_composed(name: str) -> None:
    composed, decomposed = (normalize(form, name) for form in ("NFC", "NFD"))
    assert composed != decomposed
    assert Agent(composed, MODEL).id == Agent(decomposed, MODEL).id


@given(st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=60))
def test_any_name_makes_an_id_that_is_its_own_and_never_empty(name: str) -> None:
    agent = Agent(name, MODEL)
    assert agent.id.strip()
    assert agent.id == Agent(name, MODEL).id
    if agent.is_named:
        assert Agent(agent.id, MODEL).id == agent.id


async def test_a_blank_name_is_none() -> None:
    with pytest.raises(ConfigurationError, match="needs an agent with a name or an id"):
        await Agent(" \t", MODEL, db=InMemoryDb()).arun("Hi", background=True)


def test_an_id_that_a_name_cannot_make_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="The agent's id must have 1 to 255 characters"):
        Agent("a" * 256, MODEL)


def longest(number: int = 255) -> str:
    """Return an id of the greatest length in characters and bytes, which nothing can compress."""
    return "".join(chr(random.randint(0x1F300, 0x1F9FF)) for _ in range(number))


async def test_the_longest_ids_fit_into_every_index(db: Database, model: OpenAIResponses) -> None:
    agent = Agent(
        id=longest(), model=model, db=db, max_concurrent_runs=1, max_concurrent_runs_per_user=1
    )
    user, session = longest(), longest()
    runs = [
        await agent.arun(
            *("Hi",), background=True, run_id=longest(), session_id=where, user_id=user
        )
        for where in (session, session, longest(), longest())
    ]
    for run in runs:
        ended = await agent.await_run(run.run_id, timeout=20)
        assert ended is not None
        assert (ended.status, ended.run_id) == (RunStatus.completed, run.run_id)
    assert len(await agent.alist_runs(user_id=user, session_id=session)) == 2
    assert [event async for event in agent.astream_run(runs[0].run_id)]
    assert not await agent.acancel_run(longest())
    schedule = await agent.aschedule(
        longest(200), "Hi", cron="0 0 1 1 *", session_id=longest(), user_id=longest()
    )
    assert await agent.alist_schedules() == [schedule]


@pytest.mark.parametrize("kind", ["run_id", "session_id", "user_id"])
async def test_a_longer_id_is_refused_by_its_name(model: OpenAIResponses, kind: str) -> None:
    agent: Any = Agent("Tester", model, db=InMemoryDb())
    with pytest.raises(InvalidInputError, match=f"{kind} must have 1 to 255 characters, not 1000"):
        await agent.arun("Hi", background=True, **{kind: longest(1000)})


async def test_ids_that_differ_in_how_they_are_composed_are_two(
    db: Database, model: OpenAIResponses
) -> None:
    agent = Agent("Tester", model, db=db)
    for form in ("NFC", "NFD"):
        id = normalize(form, "é")
        await agent.arun(form, background=True, run_id=id, session_id=id, user_id=id)
        ended = await agent.await_run(id, timeout=20)
        assert ended is not None
        assert (ended.run_id, ended.session_id, ended.user_id) == (id, id, id)
        assert len(await agent.alist_runs(user_id=id)) == 1


@pytest.mark.parametrize(
    "name", ["сессии", "sessions-1", "sessões", "a" * 41, "1a", "a.b", 'a"b', ""]
)
def test_a_table_is_named_in_ascii(name: str) -> None:
    for make in (
        lambda: PostgresDb("postgresql://host/db", session_table=name),
        lambda: PostgresDb("postgresql://host/db", db_schema=name),
        lambda: SqliteDb("kern.db", session_table=name),
    ):
        with pytest.raises(ConfigurationError, match="is not an identifier: use a letter or"):
            make()


async def test_the_longest_names_of_schema_and_table_stay_apart(
    postgres_db: PostgresDb, model: OpenAIResponses
) -> None:
    schema = "s" * 40
    for table in ("T" * 40, "T" * 39 + "t"):
        db = PostgresDb(postgres_db._dsn, session_table=table, db_schema=schema)
        agent = Agent("Tester", model, db=db)
        await agent.arun("Hi", background=True, run_id="one")
        ended = await agent.await_run("one", timeout=20)
        assert ended is not None
        assert ended.status is RunStatus.completed
        assert len(await agent.alist_runs()) == 1
        await db.aclose()


@pytest.mark.parametrize(
    "moment",
    [
        datetime.max.replace(tzinfo=UTC),
        datetime.max.replace(tzinfo=timezone(timedelta(hours=-12))),
        datetime.min.replace(tzinfo=UTC),
        datetime.min.replace(tzinfo=timezone(timedelta(hours=14))),
        datetime(1969, 12, 31, tzinfo=UTC),
        datetime(2026, 1, 31, 12),  # without a zone
        "2026-06-01T00:00:00Z",
        1793737571,
    ],
    ids=repr,
)
async def test_a_moment_that_not_every_clock_shows_is_refused(
    model: OpenAIResponses, moment: datetime
) -> None:
    agent = Agent("Tester", model, db=InMemoryDb())
    with pytest.raises(InvalidInputError, match="run_at must"):
        await agent.arun("Hi", background=True, run_at=moment)


@pytest.mark.parametrize(
    "moment",
    [
        datetime(1970, 1, 1, tzinfo=timezone(timedelta(hours=14))),
        datetime(9998, 12, 31, 23, 59, 59, 999999, timezone(timedelta(hours=-12))),
        datetime.fromisoformat("2999-06-01T00:00:00Z"),
    ],
    ids=repr,
)
async def test_every_other_moment_is_kept(
    db: Database, model: OpenAIResponses, moment: datetime
) -> None:
    agent = Agent("Tester", model, db=db)
    run = await agent.arun("Hi", background=True, run_at=moment)
    found = await agent.await_run(run.run_id, 20) if moment.year < 1971 else run
    assert found is not None
    assert found.status is (RunStatus.completed if moment.year < 1971 else RunStatus.pending)
    await agent.acancel_run(run.run_id)


@pytest.mark.parametrize("name", ["数据 100%?#&.db", "für.db", "a'b;c.db", "🤖.db"])
async def test_a_file_may_have_any_name(
    tmp_path: object, model: OpenAIResponses, name: str
) -> None:
    agent = Agent("Tester", model, db=SqliteDb(f"{tmp_path}/{name}"))
    run = await agent.arun("Hi", background=True)
    ended = await agent.await_run(run.run_id, timeout=20)
    assert ended is not None
    assert ended.status is RunStatus.completed
