"""The toolkit of Hacker News, against a service that speaks as the real one does."""

import json
from collections.abc import AsyncIterator

import pytest
from aiohttp import ClientResponseError, web
from service import serving

from kern.tools.hackernews import HackerNewsTools

STORIES = {1: {"id": 1, "by": "ada", "title": "One"}, 2: None, 3: {"id": 3, "by": "bob"}}


@pytest.fixture
async def news() -> AsyncIterator[HackerNewsTools]:
    def user(request: web.Request) -> object:
        name = request.match_info["name"]
        about = {"id": "ada b/c", "karma": 7, "about": "Hi", "submitted": [1, 2]}
        return {"ada b/c": about, "broken": web.Response(status=500)}.get(name)

    answers = {
        "/v0/topstories.json": lambda _: [*STORIES, *range(4, 500)],
        "/v0/item/{number}.json": lambda asked: STORIES.get(int(asked.match_info["number"])),
        "/v0/user/{name}.json": user,
    }
    async with serving(answers) as url:
        yield HackerNewsTools(base_url=f"{url}/v0")


async def test_the_top_stories_come_in_their_order_without_those_that_are_gone(
    news: HackerNewsTools,
) -> None:
    stories = json.loads(await news.get_top_hackernews_stories(3))
    assert [(each["id"], each["username"]) for each in stories] == [(1, "ada"), (3, "bob")]
    assert json.loads(await news.get_top_hackernews_stories(-5)) == []


async def test_a_user_is_found_whatever_the_name(news: HackerNewsTools) -> None:
    assert json.loads(await news.get_user_details("ada b/c")) == {
        "id": "ada b/c",
        "karma": 7,
        "about": "Hi",
        "total_items_submitted": 2,
    }
    with pytest.raises(LookupError, match="no user 'nobody'"):
        await news.get_user_details("nobody")


async def test_a_service_that_fails_fails_the_call(news: HackerNewsTools) -> None:
    with pytest.raises(ClientResponseError, match="500"):
        await news.get_user_details("broken")
