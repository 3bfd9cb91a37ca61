"""The verbs for schedules, awaited and not."""

from datetime import UTC, datetime

import pytest

from kern.agent import Agent
from kern.db.database import Database
from kern.db.in_memory import InMemoryDb
from kern.errors import ConfigurationError, InvalidInputError, ScheduleNotFoundError
from kern.models.openai import OpenAIResponses
from kern.run.message import Message

DAILY = "30 9 * * *"


async def test_a_schedule_is_created_listed_paused_resumed_and_deleted(
    db: Database, model: OpenAIResponses
) -> None:
    agent, other = Agent("Tester", model, db=db), Agent("Other", model, db=db)
    schedule = await agent.aschedule(
        "daily",
        "Go",
        cron=" 30 9  * * * ",
        timezone="Europe/Berlin",
        missed="all",
        session_id="chat",
        user_id="ada",
        metadata={"team": "red"},
    )
    await other.aschedule("weekly", "Go", cron="0 0 * * SUN")
    assert (schedule.name, schedule.agent_id, schedule.cron) == ("daily", "tester", DAILY)
    assert (schedule.session_id, schedule.user_id) == ("chat", "ada")
    assert schedule.input.messages == (Message("user", "Go"),)
    assert schedule.metadata == {"team": "red"}
    assert schedule.next_at > datetime.now(UTC)
    assert await agent.alist_schedules() == [schedule]

    assert (await agent.apause_schedule("daily")).paused
    assert [each.paused for each in await agent.alist_schedules()] == [True]
    assert not (await agent.aresume_schedule("daily")).paused
    assert await agent.alist_schedules() == [schedule]
    assert await agent.adelete_schedule("daily")
    assert not await agent.adelete_schedule("daily")
    assert await agent.alist_schedules() == []


async def test_an_agent_has_its_own_schedules_only(model: OpenAIResponses) -> None:
    db = InMemoryDb()
    agent, other = Agent("Tester", model, db=db), Agent("Other", model, db=db)
    await agent.aschedule("daily", "Go", cron=DAILY)
    with pytest.raises(InvalidInputError, match="belongs to another agent"):
        await other.aschedule("daily", "Go", cron=DAILY)
    for verb in (other.apause_schedule, other.aresume_schedule):
        with pytest.raises(ScheduleNotFoundError):
            await verb("daily")
    assert not await other.adelete_schedule("daily")
    assert len(await agent.alist_schedules()) == 1


async def test_a_schedule_needs_a_database_and_a_name(model: OpenAIResponses) -> None:
    with pytest.raises(ConfigurationError, match="needs a database"):
        await Agent("Tester", model).aschedule("daily", "Go", cron=DAILY)
    with pytest.raises(ConfigurationError, match="name or an id"):
        await Agent(model=model, db=InMemoryDb()).aschedule("daily", "Go", cron=DAILY)


async def test_what_cannot_be_used_is_refused(model: OpenAIResponses) -> None:
    agent = Agent("Tester", model, db=InMemoryDb())
    with pytest.raises(InvalidInputError, match="five fields"):
        await agent.aschedule("daily", "Go", cron="daily")
    with pytest.raises(InvalidInputError, match="input is empty"):
        await agent.aschedule("daily", "", cron=DAILY)
    assert await agent.alist_schedules() == []


def test_from_synchronous_code(threaded_model: OpenAIResponses) -> None:
    agent = Agent("Tester", threaded_model, db=InMemoryDb())
    schedule = agent.schedule("daily", "Go", cron=DAILY, timezone="Asia/Tokyo", missed="skip")
    assert agent.list_schedules() == [schedule]
    assert agent.pause_schedule("daily").paused
    assert not agent.resume_schedule("daily").paused
    assert agent.delete_schedule("daily")
