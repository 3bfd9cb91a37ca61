"""The toolkits that come with kern are known by their names, and say what each tool takes."""

import sys
from importlib import import_module
from types import ModuleType

import pytest

from kern.agent import Agent
from kern.models.openai import OpenAIResponses
from kern.testing import Reply, ResponsesServer
from kern.tools.hackernews import HackerNewsTools
from kern.tools.reasoning import ReasoningTools
from kern.tools.toolkit import Toolkit

KNOWN = {
    "hackernews.HackerNewsTools": ["get_top_hackernews_stories", "get_user_details"],
    "websearch.WebSearchTools": ["web_search", "search_news"],
    "duckduckgo.DuckDuckGoTools": ["web_search", "search_news"],
    "wikipedia.WikipediaTools": ["search_wikipedia"],
    "yfinance.YFinanceTools": ["get_current_stock_price"],
    "reasoning.ReasoningTools": ["think", "analyze"],
    "openai.OpenAITools": ["transcribe_audio", "generate_image", "generate_speech"],
    "fal.FalTools": ["generate_media"],
    "moviepy_video.MoviePyVideoTools": ["extract_audio", "create_srt", "embed_captions"],
}


@pytest.fixture(autouse=True)
def _libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the libraries seem installed, which are not everywhere."""
    for name in ("ddgs", "yfinance", "fal_client", "moviepy"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))


@pytest.mark.parametrize(("path", "names"), KNOWN.items())
def test_each_tool_says_what_it_does_and_takes(path: str, names: list[str]) -> None:
    module, _, kind = path.partition(".")
    toolkit = getattr(import_module(f"kern.tools.{module}"), kind)()
    assert isinstance(toolkit, Toolkit)
    assert [*toolkit.functions] == names
    for tool in toolkit.functions.values():
        assert tool.schema.description.endswith((".", "it."))
        properties = tool.schema.parameters["properties"]
        assert isinstance(properties, dict)
        assert all(each["description"] for each in properties.values())


async def test_a_model_is_offered_them(model: OpenAIResponses, server: ResponsesServer) -> None:
    thought = {"title": "Plan", "thought": "Look."}
    server.script += [Reply.tool_calls(("think", thought)), Reply.text("Done.")]
    tools = [HackerNewsTools(), ReasoningTools(exclude_tools=["analyze"])]
    run = await Agent("Tester", model, tools=tools).arun("Go")
    assert run.tools[0].result == "Title: Plan\nReasoning: Look.\nConfidence: 0.8"
    asked = server.requests[0].body
    assert [each["name"] for each in asked["tools"]] == [
        "get_top_hackernews_stories",
        "get_user_details",
        "think",
    ]
