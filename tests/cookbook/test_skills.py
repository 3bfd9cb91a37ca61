"""The scripts of cookbook/02_agents/27_skills do what they say."""

from cookbook_scripts import Cookbook

from kern.testing import Reply

HERE = "02_agents/27_skills/"
SCRIPT = {"skill_name": "unit-prices", "script_path": "per_kilogram.py"}


def test_a_model_reads_a_skill_and_executes_its_script(cookbook: Cookbook) -> None:
    printed = cookbook(
        HERE + "market_hall.py",
        Reply.tool_calls(("get_skill_instructions", {"skill_name": "unit-prices"})),
        Reply.tool_calls(
            ("get_skill_script", {**SCRIPT, "execute": True, "args": ["0.5", "2.40"]}),
            ("get_skill_script", {**SCRIPT, "execute": True, "args": ["2", "8"]}),
        ),
        "Two kilos: 4.00 € a kilogram.",
    )
    assert printed.splitlines() == [
        "polite-refusals: no scripts",
        "unit-prices: ('per_kilogram.py',)",
        "get_skill_instructions ",
        "get_skill_script per_kilogram.py",
        "get_skill_script per_kilogram.py",
        "Two kilos: 4.00 € a kilogram.",
    ]
    first, second, third = (str(each.body) for each in cookbook.server.requests)
    assert "- unit-prices: Compares offers" in first
    assert "Do not reckon in your head" in second
    assert "4.80 € a kilogram" in third
    assert "4.00 € a kilogram" in third


def test_a_person_allows_a_script(cookbook: Cookbook) -> None:
    printed = cookbook(
        HERE + "ask_before_scripts.py",
        Reply.tool_calls(("get_skill_script", {**SCRIPT, "execute": True, "args": ["2", "8"]})),
        "Four euros.",
    )
    assert printed == "may it execute per_kilogram.py ['2', '8']\nFour euros.\n"
