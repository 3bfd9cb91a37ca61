"""The toolkits that search the web, against a double of the library that asks the engines."""

import json
import sys
from types import SimpleNamespace
from typing import Any, Self

import pytest

from kern.tools.duckduckgo import DuckDuckGoTools
from kern.tools.websearch import WebSearchTools

asked: list[tuple[str, dict[str, Any]]] = []


class Engines:
    """What ``ddgs.DDGS`` is, as far as it is used."""

    def __init__(
        self, proxy: str | None = None, timeout: int | None = 5, *, verify: bool | str = True
    ) -> None:
        asked.append(("client", {"proxy": proxy, "timeout": timeout, "verify": verify}))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        asked.append(("closed", {}))

    def text(self, query: str, **options: Any) -> list[dict[str, str]]:
        asked.append((query, options))
        return [{"title": "Ünder", "href": "https://example.com", "body": "…"}]

    def news(self, query: str, **options: Any) -> list[dict[str, str]]:
        asked.append((query, options))
        return [{"title": "News"}]


@pytest.fixture(autouse=True)
def _library(monkeypatch: pytest.MonkeyPatch) -> None:
    asked.clear()
    monkeypatch.setitem(sys.modules, "ddgs", SimpleNamespace(DDGS=Engines))


def test_a_search_asks_for_as_many_results_as_the_model_wants() -> None:
    found = json.loads(WebSearchTools().web_search("heat pumps", max_results=3))
    assert found[0]["title"] == "Ünder"
    assert asked == [
        ("client", {"proxy": None, "timeout": 10, "verify": True}),
        ("heat pumps", {"max_results": 3, "backend": "auto"}),
        ("closed", {}),
    ]


def test_a_search_is_narrowed_as_the_toolkit_says() -> None:
    tools = WebSearchTools(
        modifier="site:example.com", fixed_max_results=2, timelimit="w", region="uk-en"
    )
    tools.web_search("heat pumps")
    tools.search_news("heat pumps", 9)
    narrowed = {"max_results": 2, "backend": "auto", "timelimit": "w", "region": "uk-en"}
    assert asked[1] == ("site:example.com heat pumps", narrowed)
    assert asked[4] == ("heat pumps", narrowed)


def test_duckduckgo_is_asked_alone() -> None:
    tools = DuckDuckGoTools(enable_news=False)
    assert [*tools.functions] == ["web_search"]
    assert tools.name == "duckduckgo"
    tools.web_search("heat pumps")
    assert asked[1][1]["backend"] == "duckduckgo"
