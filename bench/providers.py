"""What a call costs kern beside the provider's own SDK, in processor time.

    python -m bench.providers [--calls 320] [--rounds 7] [--only Claude,Gemini]

``python -m kern.testing`` answers, in a process of its own. Each provider is asked in turn by its
bare SDK, by kern's model alone, by a run in the foreground and by one in the background in memory,
whole and streamed, round after round. What a machine does beside it adds to all of them; the ratio
of a round is of calls that were made right after each other.
"""

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager, contextmanager
from typing import Any, NamedTuple, TypeAlias

from kern.agent import Agent
from kern.db.in_memory import InMemoryDb
from kern.models.anthropic import Claude
from kern.models.base import Model, ModelRequest, ModelResponse, Text
from kern.models.google import Gemini
from kern.models.openai import OpenAIChat, OpenAIResponses
from kern.run.agent import RunEvent
from kern.run.message import Message

ANSWER = ("The ", "capital ", "of ", "France ", "is ", "Paris.")
QUESTION = "What is the capital of France?"
INSTRUCTIONS = "You answer briefly and correctly."
GOAL = 1.5
AT_ONCE = 32

Call: TypeAlias = Callable[[], Awaitable[str]]
"""Asks once, and returns the answer."""


class Callers(NamedTuple):
    """The ways to ask one provider."""

    bare: Call
    model: Call
    run: Call
    background: Call


@asynccontextmanager
async def openai_responses(url: str, streamed: bool) -> AsyncIterator[Call]:
    """Ask by the SDK of OpenAI, in the Responses API."""
    from openai import AsyncOpenAI

    given: Any = {"model": "any", "instructions": INSTRUCTIONS, "input": QUESTION}
    async with AsyncOpenAI(base_url=f"{url}/v1", api_key="none") as client:

        async def whole() -> str:
            return str((await client.responses.create(**given)).output_text)

        async def stream() -> str:
            text = ""
            async with await client.responses.create(**given, stream=True) as events:
                async for event in events:
                    if event.type == "response.output_text.delta":
                        text += event.delta
            return text

        yield stream if streamed else whole


@asynccontextmanager
async def openai_chat(url: str, streamed: bool) -> AsyncIterator[Call]:
    """Ask by the SDK of OpenAI, in Chat Completions."""
    from openai import AsyncOpenAI

    said = [("system", INSTRUCTIONS), ("user", QUESTION)]
    given: Any = {"model": "any", "messages": [{"role": r, "content": text} for r, text in said]}
    async with AsyncOpenAI(base_url=f"{url}/v1", api_key="none") as client:

        async def whole() -> str:
            answer = await client.chat.completions.create(**given)
            return str(answer.choices[0].message.content)

        async def stream() -> str:
            text = ""
            options: Any = {"stream": True, "stream_options": {"include_usage": True}}
            async with await client.chat.completions.create(**given, **options) as chunks:
                async for chunk in chunks:
                    text += (chunk.choices[0].delta.content or "") if chunk.choices else ""
            return text

        yield stream if streamed else whole


@asynccontextmanager
async def anthropic(url: str, streamed: bool) -> AsyncIterator[Call]:
    """Ask by the SDK of Anthropic."""
    from anthropic import AsyncAnthropic

    given: Any = {"model": "any", "max_tokens": 8192, "system": INSTRUCTIONS}
    given["messages"] = [{"role": "user", "content": QUESTION}]
    async with AsyncAnthropic(base_url=url, api_key="none") as client:

        async def whole() -> str:
            block: Any = (await client.messages.create(**given)).content[0]
            return str(block.text)

        async def stream() -> str:
            text = ""
            async with await client.messages.create(**given, stream=True) as events:
                async for event in events:
                    if event.type == "content_block_delta" and event.delta.type == "text_delta":
                        text += event.delta.text
            return text

        yield stream if streamed else whole


@asynccontextmanager
async def google(url: str, streamed: bool) -> AsyncIterator[Call]:
    """Ask by the SDK of Google."""
    from google import genai
    from google.genai import types

    options = types.HttpOptions(base_url=url)
    client = genai.Client(api_key="none", vertexai=False, http_options=options).aio
    config = types.GenerateContentConfig(system_instruction=INSTRUCTIONS)
    given: Any = {"model": "any", "contents": QUESTION, "config": config}

    async def whole() -> str:
        return str((await client.models.generate_content(**given)).text)

    async def stream() -> str:
        text = ""
        async for chunk in await client.models.generate_content_stream(**given):
            text += chunk.text or ""
        return text

    try:
        yield stream if streamed else whole
    finally:
        await client.aclose()


BARE: dict[str, tuple[Any, Any]] = {
    "OpenAIResponses": (openai_responses, OpenAIResponses),
    "OpenAIChat": (openai_chat, OpenAIChat),
    "Claude": (anthropic, Claude),
    "Gemini": (google, Gemini),
}
"""Each provider's bare SDK, and its class in kern."""


@asynccontextmanager
async def callers(name: str, url: str, streamed: bool) -> AsyncIterator[Callers]:
    """Open a provider's SDK and kern's model of it, and yield the ways to ask them."""
    open_bare, kind = BARE[name]
    base_url = f"{url}/v1" if name.startswith("OpenAI") else url
    model: Model = kind("any", base_url=base_url, api_key="none")
    async with open_bare(url, streamed) as bare, model:
        agent = Agent("Bench", model, instructions=INSTRUCTIONS, db=InMemoryDb())
        yield Callers(bare, *_of_kern(model, agent, streamed))


def _of_kern(model: Model, agent: Agent, streamed: bool) -> tuple[Call, Call, Call]:
    asked = [Message("system", INSTRUCTIONS), Message("user", QUESTION)]

    async def call() -> str:
        request = ModelRequest(asked)
        if not streamed:
            return (await model.respond(request)).message.text
        text = ""
        async with aclosing(model.stream(request)) as pieces:
            async for piece in pieces:
                if isinstance(piece, Text):
                    text += piece.text
                elif isinstance(piece, ModelResponse):
                    assert piece.message.text == text
        return text

    async def run(**options: Any) -> str:
        if streamed:
            text = ""
            async for event in agent.arun(QUESTION, stream=True, **options):
                text += event.content or "" if event.event is RunEvent.run_content else ""
            return text
        ended = await agent.arun(QUESTION, **options)
        if options:
            found = await agent.await_run(ended.run_id)
            assert found is not None
            ended = found
        return str(ended.content)

    async def background() -> str:
        return await run(background=True)

    return call, run, background


async def cost(call: Call, calls: int, clock: Callable[[], float]) -> float:
    """Return the processor time of a call in seconds, where so many are made, 32 at a time."""
    left = iter(range(calls))

    async def caller() -> None:
        for _ in left:
            assert await call() == "".join(ANSWER)

    began = clock()
    await asyncio.gather(*(caller() for _ in range(min(AT_ONCE, calls))))
    return (clock() - began) / calls


async def measure(name: str, url: str, streamed: bool, calls: int, rounds: int) -> bool:
    """Print what each way to ask a provider costs; say whether kern's reach the goal."""
    async with callers(name, url, streamed) as ways:
        for call in ways:
            await cost(call, AT_ONCE, time.process_time)
        taken = [
            [await cost(call, calls, time.process_time) for call in ways] for _ in range(rounds)
        ]
    way = "streamed" if streamed else "whole"
    bare = statistics.median(each[0] for each in taken)
    line, reached = f"{name:<16} {way:<9} {1000 * bare:>8.2f}", True
    for place in range(1, len(ways)):
        ratios = sorted(each[place] / each[0] for each in taken)
        ratio = statistics.median(ratios)
        reached = reached and ratio <= GOAL
        line += f"   {ratio:>5.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
    print(line, flush=True)
    return reached


async def _measure_all(url: str, names: Sequence[str], calls: int, rounds: int) -> bool:
    heads = (f"{head:<20}" for head in ("model", "run", "background"))
    print(f"{'':<16} {'':<9} {'bare, ms':>8}   {'   '.join(heads)}")
    reached = [
        await measure(name, url, streamed, calls, rounds)
        for name in names
        for streamed in (False, True)
    ]
    return all(reached)


@contextmanager
def stand_in() -> Iterator[str]:
    """Start a server that answers at once, and yield its address."""
    command = [sys.executable, "-m", "kern.testing", "--text", *ANSWER]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield server.stdout.readline().strip().removesuffix("/v1")
        finally:
            server.terminate()


def main() -> None:
    """Measure what the command line asks for; fail where kern takes more than the goal."""
    parser = argparse.ArgumentParser(prog="python -m bench.providers")
    parser.add_argument("--calls", type=int, default=320, help="calls of each way in a round")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", default=",".join(BARE), help="providers, by their class")
    options = parser.parse_args()
    # No call speaks TLS, and to read a machine's certificates is no part of one.
    os.environ.setdefault("SSL_CERT_DIR", os.devnull)
    names = options.only.split(",")
    with stand_in() as url:
        reached = asyncio.run(_measure_all(url, names, options.calls, options.rounds))
    if not reached:
        sys.exit(f"kern takes more than {GOAL} times the bare SDK's processor time.")


if __name__ == "__main__":
    main()
