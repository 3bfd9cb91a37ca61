"""The scripts of cookbook/02_agents/09_guardrails do what they say."""

import json
from pathlib import Path

from cookbook_scripts import Cookbook

from kern.testing import ProtocolServer, Reply
from kern.testing.exchange import Exchange

HERE = "02_agents/09_guardrails/"


class Moderating(ProtocolServer):
    """Objects to what is about hurting somebody, as OpenAI's moderation does."""

    async def _answer(self, content: bytes, exchange: Exchange) -> None:
        if not exchange.record.path.endswith("/moderations"):
            await super()._answer(content, exchange)
            return
        body = json.loads(content)
        violent = "hurt" in str(body["input"])
        result = {
            "flagged": violent,
            "categories": {"violence": violent, "hate": False},
            "category_scores": {"violence": 0.9 * violent, "hate": 0.0},
            "category_applied_input_types": {"violence": ["text"], "hate": []},
        }
        await exchange.send({"id": "modr-1", "model": body["model"], "results": [result]})


def test_personal_data_is_refused(cookbook: Cookbook) -> None:
    printed = cookbook(HERE + "personal_data.py", "In the settings.")
    assert printed == "In the settings.\n" + "refused: True ERROR\n" * 3
    assert len(cookbook.server.requests) == 1


def test_personal_data_is_masked(cookbook: Cookbook) -> None:
    asked, answer, kept = cookbook(HERE + "masked.py", "We will.").splitlines()
    assert "555" not in asked
    assert "*" in asked
    assert "jo@example.com" in asked
    assert answer == "We will."
    assert kept == f"kept: {asked}"
    assert "2233" not in str(cookbook.server.requests[0].body)


def test_other_instructions_are_refused(cookbook: Cookbook) -> None:
    printed = cookbook(HERE + "prompt_injection.py", "Several equations.")
    refused = "refused: prompt_injection\n"
    assert printed == refused + "Several equations.\n" + refused


def test_own_checks_refuse_input_and_answers(cookbook: Cookbook) -> None:
    long = "Pawns move one step, at first two, take slantwise, and may become queens."
    printed = cookbook(HERE + "own_checks.py", "In straight lines.", long)
    assert printed.splitlines() == [
        "In straight lines.",
        "off_topic: This agent talks about chess. {'length': 17}",
        "output_not_allowed: Too long. None",
    ]


def test_calls_and_results_are_looked_at(cookbook: Cookbook) -> None:
    calls = Reply.tool_calls(
        ("pay", {"to": "gardener", "euros": 80}), ("pay", {"to": "roofer", "euros": 4000})
    )
    printed = cookbook(HERE + "calls_and_results.py", calls, "One is paid.").splitlines()
    assert printed[0] == "gardener False 80 euros went from [account] to gardener"
    assert printed[1].startswith("roofer True ")
    assert "More than 100 euros need a signature." in printed[1]
    assert printed[2] == "One is paid."
    assert "DE89" not in str(cookbook.server.requests[1].body)


def test_the_providers_moderation_is_asked(tmp_path: Path) -> None:
    with Moderating() as server:
        printed = Cookbook(server, tmp_path)(HERE + "moderation.py", "In winter.")
    assert printed == "In winter.\nrefused: input_not_allowed\n"
    assert len(server.requests) == 1


def test_a_guardrail_looks_everywhere(cookbook: Cookbook) -> None:
    calls = Reply.tool_calls(("recipe", {"dish": "soup"}), ("recipe", {"dish": "salad"}))
    answers = (calls, "Cress and oil.", "It is Nutmeg.")
    printed = cookbook(HERE + "everywhere.py", *answers)
    assert printed.splitlines() == [
        "InputCheckError The ingredient is a secret.",
        "[True, False] Cress and oil.",
        "OutputCheckError The ingredient is a secret.",
    ]
    assert "leek" not in str(cookbook.server.requests[1].body)
