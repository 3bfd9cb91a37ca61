"""The toolkit of Wikipedia, against a service that speaks as the real one does."""

import json
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from service import serving

from kern.tools.wikipedia import WikipediaTools

PAGES: dict[str, dict[str, object]] = {
    "Turing": {"title": "Turing", "missing": True},
    "Alan Turing": {
        "title": "Alan Turing",
        "extract": "A mathematician.",
        "fullurl": "https://en.wikipedia.org/wiki/Alan_Turing",
    },
    "Mercury": {"title": "Mercury", "extract": "May be:", "pageprops": {"disambiguation": ""}},
    "[": {"title": "[", "invalid": True},
}
FOUND = {"Turing": ["Alan Turing"], "Mercury": ["Mercury (planet)", "Mercury (element)"]}


def answer(request: web.Request) -> object:
    assert request.headers["User-Agent"].startswith("kern-agents")
    if "titles" in request.query:
        title = request.query["titles"]
        page = PAGES.get(title, {"title": title, "missing": True})
        return {"query": {"pages": [page]}}
    query = request.query["srsearch"]
    if query == "!":
        return {"error": {"code": "ratelimited", "info": "Too often."}}
    return {"query": {"search": [{"title": title} for title in FOUND.get(query, ())]}}


@pytest.fixture
async def wikipedia() -> AsyncIterator[WikipediaTools]:
    async with serving({"/w/api.php": answer}) as url:
        yield WikipediaTools(api_url=f"{url}/w/api.php")


@pytest.mark.parametrize("query", ["Alan Turing", "Turing"])
async def test_an_article_is_found_by_its_title_or_by_a_search(
    wikipedia: WikipediaTools, query: str
) -> None:
    assert json.loads(await wikipedia.search_wikipedia(query)) == {
        "name": "Alan Turing",
        "content": "A mathematician.",
        "url": "https://en.wikipedia.org/wiki/Alan_Turing",
    }


async def test_a_title_of_many_articles_gives_their_titles(wikipedia: WikipediaTools) -> None:
    assert json.loads(await wikipedia.search_wikipedia("Mercury")) == {
        "disambiguation": "Mercury",
        "options": ["Mercury (planet)", "Mercury (element)"],
    }


@pytest.mark.parametrize("query", ["Nothing", "["])
async def test_what_is_not_there_is_said(wikipedia: WikipediaTools, query: str) -> None:
    assert json.loads(await wikipedia.search_wikipedia(query)) == {
        "error": "page_not_found",
        "query": query,
    }


async def test_a_refusal_fails_the_call(wikipedia: WikipediaTools) -> None:
    with pytest.raises(ConnectionError, match="Too often"):
        await wikipedia.search_wikipedia("!")


def test_the_language_says_which_wikipedia() -> None:
    assert WikipediaTools(language="eo").api_url == "https://eo.wikipedia.org/w/api.php"
