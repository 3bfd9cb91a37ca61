"""Runs that show all that a provider does, in a process that is killed in the middle of each."""

import asyncio
import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from crash import open_database
from elsewhere import set_environment
from providers import PNG, PROVIDERS, Provider

from kern.agent import Agent
from kern.db.database import Database
from kern.run.base import RunContext
from kern.run.content import ImagePart, Inline, TextPart
from kern.run.message import Message
from kern.testing import Reply, Usage

SIGNATURE = "signed"
"""What goes back with a model's thoughts."""

USAGE = Usage(20, 9, cached_tokens=4, reasoning_tokens=3)
AUDIBLE = Usage(20, 9, audio_input_tokens=6, audio_output_tokens=2)


@dataclass(frozen=True, slots=True)
class Scenario:
    """One run, and where its process dies.

    Attributes:
        name: its run's id, and the text of its question.
        script: what the model says, turn by turn.
        dies_in: the turn whose answer is still to come then, or 0: within a tool.
        after: how many pieces of that answer have come, where it is streamed.
    """

    name: str
    script: tuple[Reply, ...]
    dies_in: int
    after: int | None = None

    @property
    def is_streamed(self) -> bool:
        """Whether somebody reads it."""
        return self.after is not None


_note = Reply.tool_calls(("note", {"word": "a"}))


def scenarios(provider: Provider) -> Mapping[str, Scenario]:
    """Return the runs by their names."""
    each = (
        Scenario("text", (Reply.text("Hello."),), 1),
        Scenario("streamed", (_note, Reply.text("Once ", "upon ", "a time.")), 2, after=1),
        Scenario("early", (Reply.text("Once ", "upon ", "a time."),), 1, after=0),
        Scenario(
            "parallel",
            (
                Reply.tool_calls(("note", {"word": "a"}), ("stall", {"word": "b"})),
                Reply.text("Done."),
            ),
            0,
        ),
        Scenario("failing", (Reply.tool_calls(("fail", {"word": "a"})), Reply.text("Sorry.")), 2),
        Scenario("thinking", (_note.thinking("I note it.", SIGNATURE), Reply.text("Noted.")), 2),
        Scenario("image", (Reply.text("A pixel."),), 1),
        Scenario("counted", (_note.counting(USAGE), Reply.text("9.").counting(USAGE)), 2),
        Scenario("heard", (_note.counting(AUDIBLE), Reply.text("9.").counting(AUDIBLE)), 2),
        Scenario("cut", (_note, Reply.incomplete("Once upon")), 2),
        Scenario("filtered", (_note, Reply.incomplete("Once", reason="content_filter")), 2),
        Scenario("refused", (_note, Reply.refusal("I will not.")), 2),
        Scenario("too long", (_note, provider.says_too_long), 2),
        Scenario("cancelled", (_note, Reply.text("Never.")), 2),
    )
    return {scenario.name: scenario for scenario in each}


@dataclass(slots=True)
class Stage:
    """Answers the requests of the runs; the first one of the turn in which a run dies, never.

    Attributes:
        provider: who answers.
        held: the runs that wait for an answer that will not come.
        bodies: the requests, by run and turn.
    """

    provider: Provider
    held: set[str] = field(default_factory=set)
    bodies: dict[tuple[str, int], list[dict[str, Any]]] = field(default_factory=dict)

    def reply(self, body: dict[str, Any]) -> Reply:
        """Return what the model says to a request."""
        said = self.provider.protocol.messages_of(body)
        run_id = next(text for role, text in said if role == "user")
        scenario = scenarios(self.provider)[run_id]
        calls, turn = sum(role == "call" for role, _ in said), 1
        while calls > 0:
            calls -= len(scenario.script[turn - 1].calls)
            turn += 1
        bodies = self.bodies.setdefault((run_id, turn), [])
        bodies.append(body)
        reply = scenario.script[turn - 1]
        if turn != scenario.dies_in or len(bodies) > 1:
            return reply
        self.held.add(run_id)
        return Reply.hang() if reply.raw else reply.held(scenario.after or None)

    def asked(self, run_id: str) -> dict[int, int]:
        """Return how often each turn of a run was asked for."""
        return {turn: len(each) for (name, turn), each in self.bodies.items() if name == run_id}


def make_agent(provider: Provider, url: str, db: Database, ledger: Path) -> Agent:
    """Return an agent whose tools write into a ledger what they are called with."""

    def enter(tool: str, word: str, context: RunContext) -> None:
        with ledger.open("a") as file:
            file.write(f"{context.run_id}: {tool} {word}\n")

    async def note(word: str, context: RunContext) -> str:
        """Note a word."""
        enter("note", word, context)
        return f"{word} is noted"

    async def stall(word: str, context: RunContext) -> str:
        """Take very long, the first time."""
        enter("stall", word, context)
        if context.attempt == 1:
            await asyncio.Event().wait()
        return f"{word} took long"

    async def fail(word: str, context: RunContext) -> str:
        """Fail."""
        enter("fail", word, context)
        raise ValueError(f"There is no {word}.")

    model = provider.at(url)
    return Agent(provider.name, model, db=db, instructions="Note.", tools=[note, stall, fail])


def calls_in(ledger: Path) -> Counter[str]:
    """Return how often each call was made, by its run."""
    return Counter(ledger.read_text().splitlines())


def execute(where: str, table: str, url: str, name: str, ledger: str) -> None:
    """Begin all runs, and wait to be killed."""
    set_environment({})
    provider = PROVIDERS[name]
    agent = make_agent(provider, url, open_database(where, table), Path(ledger))

    async def begin(scenario: Scenario) -> None:
        run_id = scenario.name
        if scenario.is_streamed:
            async for _ in agent.arun(run_id, stream=True, background=True, run_id=run_id):
                pass
        elif run_id == "image":
            image = ImagePart(Inline(PNG), "image/png")
            question = Message("user", (TextPart(run_id), image))
            await agent.arun([question], background=True, run_id=run_id)
        else:
            await agent.arun(run_id, background=True, run_id=run_id)

    async def main() -> None:
        await asyncio.gather(*map(begin, scenarios(provider).values()), asyncio.Event().wait())

    asyncio.run(main())
    os.abort()  # It is killed before.
