"""The scripts of cookbook/02_agents/15_answers do what they say."""

import json

from cookbook_scripts import Cookbook

from kern.testing import Reply

HERE = "02_agents/15_answers/"


def sighting(bird: str, count: int, place: str | None = None) -> dict[str, object]:
    return {"bird": bird, "count": count, "place": place}


def test_an_answer_has_a_form(cookbook: Cookbook) -> None:
    several = {"result": [sighting("jay", 2), sighting("crow", 1)]}
    answers = (sighting("stork", 3, "church"), sighting("heron", 1), several)
    printed = cookbook(HERE + "typed.py", *map(json.dumps, answers))
    assert printed.splitlines() == [
        "stork 3 church",
        "Sighting(bird='heron', count=1, place=None)",
        "['2 jay', '1 crow']",
    ]


def test_an_answer_grows(cookbook: Cookbook) -> None:
    text = json.dumps({"title": "Traboules", "stops": ["Croix-Rousse", "Saint-Jean"]})
    printed = cookbook(HERE + "as_it_grows.py", Reply.text(text[:40], text[40:])).splitlines()
    assert printed[-1] == "Traboules ['Croix-Rousse', 'Saint-Jean']"
    assert printed[0].startswith("so far: ")
    assert printed[-2] == "so far: 2 stops"


def test_other_models_follow(cookbook: Cookbook) -> None:
    verdict = json.dumps({"points": 8, "reason": "dark crust"})
    answers = ("Eight points.", verdict, "It won.", "Hear ye! The plum cake has won!")
    printed = cookbook(HERE + "second_models.py", *answers).splitlines()
    assert printed[:2] == ["8 dark crust", "Hear ye! The plum cake has won!"]
    assert printed[2] == "{'model': ['gpt-5.4-nano'], 'output_model': ['gpt-5.4']}"
    models = [request.body["model"] for request in cookbook.server.requests]
    assert models == ["gpt-5.4", "gpt-5.4-nano", "gpt-5.4-nano", "gpt-5.4"]


def test_questions_are_suggested(cookbook: Cookbook) -> None:
    suggested = json.dumps({"followups": ["Why not firs?", "Where do they go?"]})
    printed = cookbook(HERE + "what_to_ask_next.py", "To save water.", suggested)
    assert printed == "To save water.\n- Why not firs?\n- Where do they go?\n"
