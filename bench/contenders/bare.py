"""The floor: one client of the openai package, and nothing around it.

Source: https://github.com/openai/openai-python (the README's "Async usage").
"""

from typing_extensions import override

from bench.contenders.common import Contender, Setting, main
from bench.contenders.contender import INSTRUCTIONS
from bench.contenders.openai_client import MODEL, open_client


class Bare(Contender):
    """Calls, kept nowhere."""

    background = False
    in_flight = 32

    @override
    async def open(self, setting: Setting) -> None:
        self._client = open_client(setting)

    @override
    async def run(self, text: str, session: str) -> None:
        answer = await self._client.responses.create(
            model=MODEL, instructions=INSTRUCTIONS, input=text
        )
        assert answer.output_text

    @override
    async def close(self) -> None:
        await self._client.close()


if __name__ == "__main__":
    main(Bare)
