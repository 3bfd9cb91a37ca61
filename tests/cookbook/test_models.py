"""The scripts of cookbook/02_agents/13_models do what they say."""

from cookbook_scripts import Cookbook

from kern.testing import Reply

HERE = "02_agents/13_models/"


def test_each_provider_answers(cookbook: Cookbook) -> None:
    printed = cookbook(HERE + "by_name.py", *["Good morning."] * 7).splitlines()
    assert [line.partition(" | ")[2] for line in printed] == ["Good morning."] * 7
    ids = ["gpt-5.4-mini", "claude-sonnet-5-5", "gemini-3.7-flash"]
    expected = [*ids, ids[0], *ids]
    assert [line.split()[-4] for line in printed] == expected
    paths = {request.path.rpartition("/")[2] for request in cookbook.server.requests}
    assert {"responses", "completions", "messages"} < paths


def test_the_history_moves_to_another_provider(cookbook: Cookbook) -> None:
    printed = cookbook(HERE + "switch.py", "It fits a door.", "Behind it is a lake.")
    assert printed.splitlines() == [
        "gpt-5.4-mini | It fits a door.",
        "claude-sonnet-5-5 | Behind it is a lake.",
    ]
    assert cookbook.server.requests[1].path.endswith("/messages")
    assert "It fits a door." in str(cookbook.server.requests[1].body)


def test_another_model_answers_where_one_fails(cookbook: Cookbook) -> None:
    failed, busy = Reply.http_error(400, "No birds."), Reply.http_error(429)
    answers = (failed, "A wren.", busy, "A crow.", failed, "A wren.")
    printed = cookbook(HERE + "fallback.py", *answers)
    assert printed.splitlines() == [
        "gpt-5.4-mini A wren.",
        "gpt-5.4 -> gpt-5.4-nano: ModelRateLimitError",
        "gpt-5.4-nano A crow.",
        "gpt-5.4 -> gpt-5.4-mini: ModelError",
        "gpt-5.4-mini A wren.",
    ]


def test_an_answer_is_kept(cookbook: Cookbook) -> None:
    printed = cookbook(HERE + "kept_answers.py", "mhtyhr")
    assert printed == "mhtyhr 15 True\nmhtyhr 0 True\n"
