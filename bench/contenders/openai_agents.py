"""OpenAI Agents SDK, in memory, its tracing off.

Source: https://openai.github.io/openai-agents-python/ (running agents, configuration, tracing).
"""

from agents import Agent, Runner, set_default_openai_client, set_tracing_disabled
from typing_extensions import override

from bench.contenders.common import Contender, Setting, main
from bench.contenders.contender import INSTRUCTIONS
from bench.contenders.openai_client import MODEL, open_client


class OpenAIAgents(Contender):
    """Calls, kept nowhere."""

    background = False
    in_flight = 32

    @override
    async def open(self, setting: Setting) -> None:
        set_tracing_disabled(True)
        set_default_openai_client(open_client(setting), use_for_tracing=False)
        self._agent = Agent(name="Bench", instructions=INSTRUCTIONS, model=MODEL)

    @override
    async def run(self, text: str, session: str) -> None:
        result = await Runner.run(self._agent, text)
        assert result.final_output


if __name__ == "__main__":
    main(OpenAIAgents)
