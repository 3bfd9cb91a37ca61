"""The scripts of cookbook/02_agents/22_teams do what they say."""

from cookbook_scripts import Cookbook

from kern.testing import Reply

HERE = "02_agents/22_teams/"
DELEGATE = "delegate_task_to_member"


def call(name: str, **arguments: object) -> Reply:
    return Reply.tool_calls((name, arguments))


def task(member_id: str, text: str = "Do it.") -> Reply:
    return call(DELEGATE, member_id=member_id, task=text)


def test_a_leader_gives_two_members_tasks_at_once(cookbook: Cookbook) -> None:
    both = Reply.tool_calls(
        *((DELEGATE, {"member_id": each, "task": "Can we?"}) for each in ("geologist", "engineer"))
    )
    printed = cookbook(HERE + "two_experts.py", both, "We can.", "We can.", "Dig.").splitlines()
    assert printed == [
        "geologist -> We can.",
        "engineer -> We can.",
        "Dig.",
        "['Engineer', 'Geologist']",
        "model calls of all: 4",
    ]


def test_a_question_is_routed(cookbook: Cookbook) -> None:
    choice = call(DELEGATE, member_id="lost-property")
    printed = cookbook(HERE + "route_a_question.py", choice, "It is in Chur.")
    assert printed == "lost-property | It is in Chur.\n"
    assert "my umbrella" in str(cookbook.server.requests[1].body["input"])


def test_members_build_on_each_other(cookbook: Cookbook) -> None:
    answers = (
        *(task("planner"), call("book", amount=120), "By bus."),
        *(task("host"), call("book", amount=200), "At the inn."),
        "By bus, to the inn.",
    )
    printed = cookbook(HERE + "one_after_the_other.py", *answers)
    assert printed == "By bus, to the inn. {'left': 180}\n"
    assert "By bus." in str(cookbook.server.requests[4].body["input"])


def test_a_member_asks_for_a_person(cookbook: Cookbook) -> None:
    answers = (task("plumber"), call("close_valve", valve="main"), "Closed.", "It is dry.")
    assert cookbook(HERE + "a_member_asks.py", *answers).splitlines() == [
        "PAUSED | Plumber close_valve {'valve': 'main'}",
        "closed: main",
        "COMPLETED It is dry.",
    ]


def test_members_depend_on_the_user(cookbook: Cookbook) -> None:
    answers = (task("guide"), "Ask the curator.", task("curator"), "Giacometti.")
    printed = cookbook(HERE + "members_by_user.py", *answers)
    assert printed == "visitor | Ask the curator.\ndirector | Giacometti.\n"


def test_teams_are_members_of_teams(cookbook: Cookbook) -> None:
    answers = (task("strings"), task("cello"), "C.", "It is played.", "Bravo.")
    assert cookbook(HERE + "teams_in_a_team.py", *answers).splitlines() == [
        "Orchestra (team) RunStarted",
        "  Strings (team) RunStarted",
        "    Cello (agent) RunStarted",
        "    Cello (agent) RunCompleted",
        "  Strings (team) RunCompleted",
        "Orchestra (team) RunCompleted",
    ]


def test_a_killed_team_goes_on(cookbook: Cookbook) -> None:
    script = HERE + "killed_at_work.py"
    answers = (task("clerk"), call("weigh", parcel="the red one"))
    assert cookbook.kill(script, *answers, at=3).text == "weighed the red one\n"
    again = cookbook(script, "4 kg.", "9 francs.", KERN_HEARTBEAT="0.5")
    assert again == "COMPLETED 9 francs.\nmembers' runs: 1\n"
