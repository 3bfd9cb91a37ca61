"""The scripts of cookbook/02_agents/16_media do what they say."""

from cookbook_scripts import Cookbook

from kern.testing import Reply

HERE = "02_agents/16_media/"


def test_a_model_is_shown_images_and_files(cookbook: Cookbook) -> None:
    assert cookbook(HERE + "look_at.py", "The hut.") == "The hut.\n"
    told = str(cookbook.server.requests[0].body)
    assert "https://example.com/map.png" in told
    assert "heights.csv" in told
    assert "note.txt" in told


def test_a_tool_makes_an_image(cookbook: Cookbook) -> None:
    call = Reply.tool_calls(("mix", {"red": 240, "green": 190, "blue": 40}))
    printed = cookbook(HERE + "tool_that_draws.py", call, "Like honey.")
    assert printed == "Like honey. image/png True\n"
    assert "data:image/png;base64," in str(cookbook.server.requests[1].body)
