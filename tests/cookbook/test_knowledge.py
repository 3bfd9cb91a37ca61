"""The scripts of cookbook/02_agents/26_knowledge do what they say."""

import json

from cookbook_scripts import Cookbook

from kern.testing import Reply

HERE = "02_agents/26_knowledge/"


def search(query: str, **more: object) -> Reply:
    return Reply.tool_calls(("search_knowledge_base", {"query": query, **more}))


def test_files_are_loaded_once_and_found(cookbook: Cookbook) -> None:
    printed = cookbook(HERE + "ask_documents.py", search("large fern"), "11 euros (prices.csv).")
    first, second, found, answer = printed.splitlines()
    assert first.startswith("3 files, ")
    assert not first.endswith(" 0 embedded")
    assert second.endswith(" 0 embedded")
    assert found.startswith("looked for 'large fern', found in ")
    assert "prices.csv" in found
    assert answer == "11 euros (prices.csv)."


def test_a_run_loads_them(cookbook: Cookbook) -> None:
    printed = cookbook(HERE + "load_in_background.py")
    assert "3/3 " in printed
    assert "3 loaded, 0 failed" in printed
    for name in ("ferns.md", "oaks.md", "prices.csv"):
        assert f"{name} completed " in printed


def test_the_model_filters(cookbook: Cookbook) -> None:
    asked = search("ferns", filters={"board": "sales"})
    printed = cookbook(HERE + "filter_by_model.py", asked, "It lowers their price.")
    assert "lowers the price" in printed
    assert "raises" not in printed
    assert "shade" not in printed
    told = json.dumps(cookbook.server.requests[-2].body)
    assert "Searches can be filtered by: board, year." in told


def test_the_model_adds(cookbook: Cookbook) -> None:
    note = {"query": "fuse box", "result": "It is behind the mirror in the hall."}
    printed = cookbook(
        HERE + "agent_adds.py",
        Reply.tool_calls(("add_to_knowledge", note)),
        "Noted.",
        search("fuse box"),
        "Behind the mirror.",
    )
    assert printed.splitlines() == [
        "Noted.",
        "Behind the mirror.",
        "{'agent_id': 'assistant', 'user_id': 'ada'} It is behind the mirror in the hall.",
    ]


def test_a_reader_of_ones_own(cookbook: Cookbook) -> None:
    assert cookbook(HERE + "own_reader.py") == (
        "00:01:30,000 It was the gardener, with the watering can.\n"
    )
