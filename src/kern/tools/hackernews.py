"""Hacker News: what is on its first page, and who wrote it."""

import asyncio
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from kern.extras import extra
from kern.tools.toolkit import Toolkit

# Seconds for a request, and how many there are at a time.
_PATIENCE, _AT_ONCE = 30.0, 10


class HackerNewsTools(Toolkit):
    """Tools that read Hacker News (extra ``hackernews``).

    Example:
        >>> [*HackerNewsTools(enable_get_user_details=False).functions]
        ['get_top_hackernews_stories']
    """

    def __init__(
        self,
        enable_get_top_stories: bool = True,
        enable_get_user_details: bool = True,
        all: bool = False,
        *,
        base_url: str = "https://hacker-news.firebaseio.com/v0",
        **options: Any,
    ) -> None:
        """Choose the tools.

        Args:
            enable_get_top_stories: offer ``get_top_hackernews_stories``.
            enable_get_user_details: offer ``get_user_details``.
            all: offer both.
            base_url: where the service is.
            **options: those of :class:`Toolkit`.

        Raises:
            MissingExtraError: aiohttp is not installed.
        """
        with extra("hackernews"):
            import aiohttp  # noqa: F401
        self.base_url: str = base_url.rstrip("/")
        tools: list[Callable[..., object]] = []
        if all or enable_get_top_stories:
            tools.append(self.get_top_hackernews_stories)
        if all or enable_get_user_details:
            tools.append(self.get_user_details)
        super().__init__(name="hackers_news", tools=tools, **options)

    async def get_top_hackernews_stories(self, num_stories: int = 10) -> str:
        """Get the top stories of Hacker News.

        Args:
            num_stories: how many, at most 100.

        Returns:
            The stories as JSON.
        """
        [numbers] = await self._get("topstories")
        count = max(0, min(num_stories, 100))
        paths = [f"item/{number}" for number in numbers[:count]]
        stories = [each for each in await self._get(*paths) if each is not None]
        return json.dumps([{**each, "username": each.get("by")} for each in stories])

    async def get_user_details(self, username: str) -> str:
        """Get the details of a user of Hacker News.

        Args:
            username: the user's name.

        Returns:
            The details as JSON.
        """
        [user] = await self._get(f"user/{quote(username, safe='')}")
        if user is None:
            raise LookupError(f"Hacker News has no user {username!r:.100}.")
        return json.dumps(
            {
                "id": user.get("id"),
                "karma": user.get("karma"),
                "about": user.get("about"),
                "total_items_submitted": len(user.get("submitted", ())),
            }
        )

    async def _get(self, *paths: str) -> list[Any]:
        """Return what the service says at each of these paths."""
        import aiohttp

        limit = aiohttp.ClientTimeout(total=_PATIENCE)
        connector = aiohttp.TCPConnector(limit=_AT_ONCE)
        async with aiohttp.ClientSession(timeout=limit, connector=connector) as session:

            async def get(path: str) -> object:
                url = f"{self.base_url}/{path}.json"
                async with session.get(url, raise_for_status=True) as response:
                    found: object = await response.json()
                    return found

            return await asyncio.gather(*map(get, paths))
