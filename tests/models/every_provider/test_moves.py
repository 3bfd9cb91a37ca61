"""A conversation moves from each provider to each other in a session, and back."""

import json
from itertools import permutations

import pytest
from provider_runs import SIGNATURE
from providers import PNG, PROVIDERS, Provider

from kern.agent import Agent
from kern.db.in_memory import InMemoryDb
from kern.run.base import RunStatus
from kern.run.content import ImagePart, Inline, TextPart
from kern.run.message import Message
from kern.testing import ProtocolServer, Reply, RequestRecord

PICTURE = Message("user", (TextPart("What is it?"), ImagePart(Inline(PNG), "image/png")))
SAID = [
    ("user", "What is it?"),
    ("call", 'note {"word": "a"}'),
    ("call", 'note {"word": "b"}'),
    ("tool", "a is noted"),
    ("tool", "b is noted"),
    ("assistant", "A pixel."),
]
QUESTION, ANSWER = ("user", "Sure?"), ("assistant", "Yes.")


def note(word: str) -> str:
    """Note a word."""
    return f"{word} is noted"


class Session:
    """A session of agents whose models are those of several providers."""

    def __init__(self, server: ProtocolServer) -> None:
        self._db = InMemoryDb()
        self._server = server

    async def ask(self, provider: Provider, question: str | Message) -> RequestRecord:
        """Ask an agent in the background, and return its first request."""
        begun = len(self._server.requests)
        async with provider.at(self._server.url) as model:
            agent = Agent(
                provider.name,
                model,
                db=self._db,
                tools=[note],
                add_history_to_context=True,
                history_agents="all",
            )
            run = await agent.arun(question, session_id="moving", background=True)
            ended = await agent.await_run(run.run_id, timeout=20)
        assert ended is not None
        assert ended.status is RunStatus.completed, ended.error
        return self._server.requests[begun]


def said_in(provider: Provider, record: RequestRecord) -> tuple[list[tuple[str, str]], int]:
    """Return what was said in a request, and how many media were shown."""
    said = provider.protocol.messages_of(record.body)
    # Images of an answer are shown with a text that says where they are from.
    introduced = [each for each in said if each[0] != "user" or not each[1].endswith((".", ":"))]
    texts = [each for each in introduced if each[0] not in ("media", "reasoning")]
    return texts, sum(role == "media" for role, _ in said)


@pytest.mark.parametrize(("first", "second"), [*permutations(PROVIDERS, 2)])
async def test_a_conversation_goes_on_at_another_provider_and_comes_back(
    server: ProtocolServer, first: str, second: str
) -> None:
    one, other = PROVIDERS[first], PROVIDERS[second]
    calls = Reply.tool_calls(("note", {"word": "a"}), ("note", {"word": "b"}))
    drawn = 0 if one.drawn is None else 1
    answer = Reply.output(one.drawn) if one.drawn else Reply()
    server.script += [
        calls.thinking("Let me see.", SIGNATURE),
        Reply(deltas=("A pixel.",), items=answer.items),
        Reply.text("Yes."),
        Reply.text("Bye."),
    ]
    session = Session(server)
    await session.ask(one, PICTURE)

    there = await session.ask(other, "Sure?")
    assert said_in(other, there) == ([*SAID, QUESTION], 1 + drawn)
    sent = json.dumps(there.body)
    assert SIGNATURE not in sent
    assert other.signature(SIGNATURE) not in sent
    assert one.signature(SIGNATURE) not in sent

    back = await session.ask(one, "Bye?")
    texts, shown = said_in(one, back)
    assert texts == [*SAID, QUESTION, ANSWER, ("user", "Bye?")]
    assert shown == 1 + drawn
    assert one.signature(SIGNATURE) in json.dumps(back.body)
    assert len(server.requests) == 4
