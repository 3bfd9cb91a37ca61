"""The scripts of cookbook/02_agents/11_retrieval do what they say."""

import json

from cookbook_scripts import Cookbook

from kern.testing import Reply

HERE = "02_agents/11_retrieval/"


def search(query: str) -> Reply:
    return Reply.tool_calls(("search_knowledge_base", {"query": query}))


def test_the_model_asks_a_function(cookbook: Cookbook) -> None:
    printed = cookbook(HERE + "own_retriever.py", search("dogs on the pier"), "No (rule 9).")
    result, _, answer = printed.rstrip().rpartition("\n")
    assert result.startswith("search_knowledge_base {'query': 'dogs on the pier'} -> ")
    assert "from October to April" in result
    assert "six metres" not in result
    assert answer == "No (rule 9)."
    tools = cookbook.server.requests[0].body["tools"]
    assert [tool["name"] for tool in tools] == ["search_knowledge_base"]


def test_references_are_part_of_the_message(cookbook: Cookbook) -> None:
    printed = cookbook(HERE + "references.py", "Into the shade.")
    assert printed.startswith("found for 'Where do I put the fern?' [")
    assert "keep it out of the sun" in printed
    assert printed.endswith("Into the shade.\n")
    told = json.dumps(cookbook.server.requests[0].body["input"])
    assert "Where do I put the fern?" in told
    assert "content: " in told  # of YAML
    assert "keep it out of the sun" in told
    assert not cookbook.server.requests[0].body.get("tools")


def test_filters_narrow_a_search(cookbook: Cookbook) -> None:
    answers = (search("dry"), "A Riesling.", search("dark"), "Nothing.")
    printed = cookbook(HERE + "filters.py", *answers)
    first, second = printed.split("rita looks for ")[1:]
    assert first.startswith("'dry' with {'country': 'Germany'}\n")
    assert "from the slate" in first
    assert "late harvest" not in first
    assert second.startswith("'dark' with {'country': 'Chad'}\n")
    assert "Malbec" not in second
