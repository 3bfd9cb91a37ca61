"""A search of the web and of the news, over whichever engines answer."""

import json
from collections.abc import Callable
from typing import Any, Literal

from kern.extras import extra
from kern.tools.toolkit import Toolkit


class WebSearchTools(Toolkit):
    """Tools that search the web (extra ``ddgs``).

    Attributes:
        backend: which engines are asked, such as ``"duckduckgo"``, or ``"auto"``.

    Example:
        >>> [*WebSearchTools(enable_news=False).functions]
        ['web_search']
    """

    def __init__(
        self,
        enable_search: bool = True,
        enable_news: bool = True,
        backend: str = "auto",
        modifier: str | None = None,
        fixed_max_results: int | None = None,
        proxy: str | None = None,
        timeout: int | None = 10,
        verify_ssl: bool = True,
        timelimit: Literal["d", "w", "m", "y"] | None = None,
        region: str | None = None,
        **options: Any,
    ) -> None:
        """Choose the tools.

        Args:
            enable_search: offer ``web_search``.
            enable_news: offer ``search_news``.
            backend: which engines are asked.
            modifier: text before each search of the web, such as ``"site:example.com"``.
            fixed_max_results: how many results there are, whatever the model asks for.
            proxy: over which the engines are asked.
            timeout: seconds for an engine to answer.
            verify_ssl: whether certificates are checked.
            timelimit: nothing older than a day, week, month or year.
            region: whose results, such as ``"uk-en"``.
            **options: those of :class:`Toolkit`.

        Raises:
            MissingExtraError: ddgs is not installed.
        """
        with extra("ddgs"):
            import ddgs  # noqa: F401
        self.backend = backend
        self.modifier = modifier
        self.fixed_max_results = fixed_max_results
        self.proxy, self.timeout, self.verify_ssl = proxy, timeout, verify_ssl
        narrowed = {"timelimit": timelimit, "region": region}
        self._narrowed = {name: value for name, value in narrowed.items() if value is not None}
        tools: list[Callable[..., object]] = []
        if enable_search:
            tools.append(self.web_search)
        if enable_news:
            tools.append(self.search_news)
        options.setdefault("name", "websearch")
        super().__init__(tools=tools, **options)

    def web_search(self, query: str, max_results: int = 5) -> str:
        """Search the web.

        Args:
            query: what to search for.
            max_results: how many results.

        Returns:
            The results as JSON.
        """
        return self._search("text", f"{self.modifier or ''} {query}".strip(), max_results)

    def search_news(self, query: str, max_results: int = 5) -> str:
        """Search the latest news.

        Args:
            query: what to search for.
            max_results: how many results.

        Returns:
            The results as JSON.
        """
        return self._search("news", query, max_results)

    def _search(self, kind: Literal["text", "news"], query: str, max_results: int) -> str:
        from ddgs import DDGS

        with DDGS(self.proxy, self.timeout, verify=self.verify_ssl) as engines:
            found = getattr(engines, kind)(
                query,
                max_results=self.fixed_max_results or max_results,
                backend=self.backend,
                **self._narrowed,
            )
        return json.dumps(found)
