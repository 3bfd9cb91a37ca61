"""The scripts of cookbook/02_agents/23_background_agents do what they say."""

import json
from typing import Any

from cookbook_scripts import Cookbook

from kern.testing import Reply

HERE = "02_agents/23_background_agents/"


def call(name: str, **arguments: object) -> Reply:
    return Reply.tool_calls((name, arguments))


def results(body: dict[str, Any]) -> list[str]:
    """Return the results of the calls that a model has made."""
    found = [each for each in body["input"] if each.get("type") == "function_call_output"]
    return [str(each["output"]) for each in found]


def times_told(body: dict[str, Any]) -> int:
    return json.dumps(body["input"]).count("<background_run ")


def starts(body: dict[str, Any]) -> bool:
    """Say whether the one who is asked can start others."""
    return "start_" in json.dumps(body.get("tools", []))


def test_an_end_is_told_in_the_run(cookbook: Cookbook) -> None:
    offer = Reply.text("Soup, 9 euros each.").held()

    def reply(body: dict[str, Any]) -> Reply:
        known = results(body)
        if not starts(body):
            return offer
        if times_told(body):
            return Reply.text("Room and soup.")
        if len(known) < 2:
            lunch, room = {"input": "Lunch for 12."}, {"day": "Tuesday"}
            return call("book_room", **room) if known else call("start_caterer", **lunch)
        offer.release()
        return call("wait_for_run", run_id=known[0].split()[2])

    printed = cookbook(HERE + "told_in_the_run.py", *[reply] * 5).splitlines()
    assert printed[:2] == ["start_caterer -> Started", "book_room -> booked for Tuesday"]
    assert printed[2].startswith("wait_for_run -> run ")
    assert printed[3:] == ["told of 1 end", "Room and soup."]


def test_an_end_is_told_later(cookbook: Cookbook) -> None:
    def reply(body: dict[str, Any]) -> Reply:
        if not starts(body):
            return Reply.text("Two herons.") if results(body) else call("count_birds", hours=1)
        if times_told(body):
            return Reply.text("There are two herons.")
        return Reply.text("Asked.") if results(body) else call("start_observer", input="Count.")

    printed = cookbook(HERE + "told_later.py", *[reply] * 5)
    assert printed == (
        "first: Asked.\nlater: There are two herons.\n"
        "nobody has written: Nobody has written this:…\n"
    )


def test_a_model_waits_for_one_and_cancels_another(cookbook: Cookbook) -> None:
    train = Reply.text("At nine.").held()

    def reply(body: dict[str, Any]) -> Reply:
        if not starts(body):
            return train if "train" in json.dumps(body["input"]) else Reply.hang()
        known, told = results(body), times_told(body)
        if not known:
            return Reply.tool_calls(
                ("start_train", {"input": "A train."}), ("start_ferry", {"input": "A ferry."})
            )
        if not told:
            train.release()
            return call("wait_for_run", run_id=known[0].split()[2])
        if told == 1:
            return call("cancel_run", run_id=known[1].split()[2])
        return Reply.text("By train, at nine.")

    printed = cookbook(HERE + "wait_and_cancel.py", *[reply] * 6)
    assert printed.splitlines() == [
        *("start_train True", "start_ferry True", "wait_for_run False", "cancel_run False"),
        *("By train, at nine.", "Train COMPLETED", "Ferry CANCELLED"),
    ]


def test_after_a_kill_it_is_told_once(cookbook: Cookbook) -> None:
    script = HERE + "killed_and_told.py"

    def reply(body: dict[str, Any]) -> Reply:
        if not starts(body):
            return Reply.text("1.4 m.") if results(body) else call("measure", place="pass")
        if times_told(body):
            return Reply.text("1.4 m of snow.")
        return Reply.text("Asked.") if results(body) else call("start_ranger", input="Measure.")

    cookbook.server.default = reply
    assert "measuring" in cookbook.kill(script, when="measuring").text
    again = cookbook(script, KERN_HEARTBEAT="0.5").splitlines()
    assert [each for each in again if each != "measuring"] == [
        *("Asked.", "1.4 m of snow.", "runs of the guide: 2"),
    ]
