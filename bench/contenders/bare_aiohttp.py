"""The floor again, over aiohttp, which the SDK recommends for many calls at a time.

Source: https://github.com/openai/openai-python (the README's "With aiohttp").
"""

from openai import AsyncOpenAI, DefaultAioHttpClient
from typing_extensions import override

from bench.contenders.bare import Bare
from bench.contenders.common import Setting, main
from bench.contenders.openai_client import limits


class BareAiohttp(Bare):
    """Calls, kept nowhere."""

    @override
    async def open(self, setting: Setting) -> None:
        self._client = AsyncOpenAI(
            api_key="none",
            base_url=setting.model,
            http_client=DefaultAioHttpClient(limits=limits(setting)),
        )


if __name__ == "__main__":
    main(BareAiohttp)
