"""A search of the web and of the news, by DuckDuckGo."""

from typing import Any

from kern.tools.websearch import WebSearchTools


class DuckDuckGoTools(WebSearchTools):
    """Tools that search the web by DuckDuckGo; see :class:`WebSearchTools`.

    Example:
        >>> [*DuckDuckGoTools(enable_news=False).functions]
        ['web_search']
    """

    def __init__(
        self,
        enable_search: bool = True,
        enable_news: bool = True,
        backend: str = "duckduckgo",
        **options: Any,
    ) -> None:
        """Choose the tools.

        Args:
            enable_search: offer ``web_search``.
            enable_news: offer ``search_news``.
            backend: which engines are asked.
            **options: those of :class:`WebSearchTools`.
        """
        options.setdefault("name", "duckduckgo")
        super().__init__(enable_search, enable_news, backend, **options)
