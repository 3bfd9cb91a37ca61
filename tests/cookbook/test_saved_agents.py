"""The scripts of cookbook/02_agents/30_saved_agents do what they say."""

import json

from cookbook_scripts import Cookbook

from kern.testing import Reply

HERE = "02_agents/30_saved_agents/"  # what they name is in stock.py


def test_versions_are_saved_and_loaded(cookbook: Cookbook) -> None:
    asks = Reply.tool_calls(("price", {"article": "kettle"}))
    printed = cookbook(HERE + "save_and_load.py", asks, "39 euros.").splitlines()
    assert printed == [
        "saved: 1 2",
        "['price', 'in_stock'] Sell tea things, and always offer a biscuit.",
        "['price'] Sell tea things, in one sentence.",
        "39 euros.",
        "2 None False biscuits",
        "1 stable True as the shop opened",
    ]
    first, last = cookbook.server.requests
    assert "in one sentence" in first.body["instructions"]
    assert first.body["temperature"] == 0.2
    assert "39 euros" in str(last.body["input"])


def test_what_is_kept_is_json_without_keys(cookbook: Cookbook) -> None:
    printed = cookbook(HERE + "what_is_kept.py")
    assert "sk-is-kept" not in printed
    data, end = json.JSONDecoder().raw_decode(printed)
    assert data["model"]["arguments"] == {"id": "gpt-5.4-mini"}
    assert data["tools"] == [{"$kern": "import", "name": "price", "path": "stock:price"}]
    assert printed[end:].strip().splitlines() == [
        "The agent 'Wrapper' cannot be kept as it is:",
        "- tools[1] is the function gift_wrap, which no other process can import; move it to the "
        "top of a module, or register it: Registry(functions=[gift_wrap]).",
        "- pre_hooks[0] is a lambda; write a function at the top of a module.",
        "- dependencies.till is stored nowhere, as it may be a secret; register it: "
        "Registry(values={'its name': ...}).",
        "['price', 'gift_wrap']",
        "['price', 'gift_wrap']",
    ]
