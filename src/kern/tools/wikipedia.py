"""Wikipedia: what its articles say in their first paragraphs."""

import json
from typing import Any

from kern.extras import extra
from kern.tools.toolkit import Toolkit

# Seconds for a request, and how many other titles are told.
_PATIENCE, _OTHERS = 30.0, 10

# Wikipedia asks its readers who are programs to say who they are.
_HEADERS = {"User-Agent": "kern-agents (https://pypi.org/project/kern-agents)"}


class WikipediaTools(Toolkit):
    """A tool that reads Wikipedia (extra ``wikipedia``).

    Example:
        >>> [*WikipediaTools().functions]
        ['search_wikipedia']
    """

    def __init__(
        self,
        all: bool = False,
        *,
        language: str = "en",
        api_url: str | None = None,
        **options: Any,
    ) -> None:
        """Choose the Wikipedia.

        Args:
            all: changes nothing: there is one tool.
            language: which Wikipedia.
            api_url: where its API is; by default as the language says.
            **options: those of :class:`Toolkit`.

        Raises:
            MissingExtraError: aiohttp is not installed.
        """
        with extra("wikipedia"):
            import aiohttp  # noqa: F401
        self.api_url: str = api_url or f"https://{language}.wikipedia.org/w/api.php"
        super().__init__(name="wikipedia_tools", tools=[self.search_wikipedia], **options)

    async def search_wikipedia(self, query: str) -> str:
        """Look something up in Wikipedia.

        Args:
            query: the title of an article, or what to search for.

        Returns:
            As JSON the beginning of the article, or the titles that may be meant.
        """
        page = await self._page(query)
        if page is None:
            found = await self._get(list="search", srsearch=query, srlimit=_OTHERS)
            titles = [each["title"] for each in found.get("search", ())]
            if not titles:
                return json.dumps({"error": "page_not_found", "query": query})
            page = await self._page(titles[0])
            if page is None:
                return json.dumps({"error": "page_not_found", "query": query, "options": titles})
        if "disambiguation" in page.get("pageprops", {}):
            found = await self._get(list="search", srsearch=query, srlimit=_OTHERS)
            others = [each["title"] for each in found.get("search", ())]
            return json.dumps({"disambiguation": query, "options": others})
        return json.dumps(
            {"name": page["title"], "content": page.get("extract", ""), "url": page.get("fullurl")}
        )

    async def _page(self, title: str) -> dict[str, Any] | None:
        """Return an article by its title, if there is one."""
        found = await self._get(
            titles=title,
            redirects=1,
            prop="extracts|pageprops|info",
            inprop="url",
            exintro=1,
            explaintext=1,
        )
        pages = [each for each in found.get("pages", ()) if "missing" not in each]
        return pages[0] if pages and "invalid" not in pages[0] else None

    async def _get(self, **query: str | int) -> dict[str, Any]:
        import aiohttp

        asked = {"action": "query", "format": "json", "formatversion": 2, **query}
        limit = aiohttp.ClientTimeout(total=_PATIENCE)
        async with (
            aiohttp.ClientSession(timeout=limit, headers=_HEADERS) as session,
            session.get(self.api_url, params=asked, raise_for_status=True) as response,
        ):
            answer: dict[str, Any] = await response.json()
        if "error" in answer:
            raise ConnectionError(f"Wikipedia refused: {answer['error'].get('info')}")
        found: dict[str, Any] = answer.get("query", {})
        return found
