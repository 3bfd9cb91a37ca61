"""The scripts of cookbook/02_agents/18_approvals do what they say."""

from cookbook_scripts import Cookbook

from kern.testing import Reply

HERE = "02_agents/18_approvals/"


def call(name: str, **arguments: object) -> Reply:
    return Reply.tool_calls((name, arguments))


def test_a_record_decides(cookbook: Cookbook) -> None:
    printed = cookbook(HERE + "decided_by_record.py", call("burn", box="1962"), "Done.")
    first, pending, refused, late, burnt, ended = printed.splitlines()
    assert first == "1 burn {'box': '1962'} clerk"
    assert pending == "pending: 1"
    assert refused.startswith("refused: ")
    assert "pending" in refused
    assert (late, burnt) == ("the deputy was late: True", "burnt: 1962")
    assert ended == "COMPLETED Done. by director"


def test_a_background_run_goes_on_by_itself(cookbook: Cookbook) -> None:
    vase, mask = (call("lend_out", piece=piece, museum="Oslo") for piece in ("vase", "mask"))
    printed = cookbook(HERE + "goes_on_by_itself.py", vase, "It travels.", mask, "It stays.")
    assert printed.splitlines() == [
        "PAUSED pending confirmation",
        "COMPLETED It travels.",
        "PAUSED pending confirmation",
        "COMPLETED It stays.",
    ]
    outputs = [str(request.body["input"]) for request in cookbook.server.requests]
    assert "The vase travels to Oslo." in outputs[1]
    assert "The mask travels" not in outputs[3]


def test_an_audit_is_written_afterwards(cookbook: Cookbook) -> None:
    pill = call("dispense", drug="ibuprofen", tablets=2)
    printed = cookbook(HERE + "audit.py", pill, "Two tablets.", pill, "Not yet.")
    arguments = "{'drug': 'ibuprofen', 'tablets': 2}"
    assert printed.splitlines() == [
        "records at the pause: 0",
        f"approved Dr. Lind {arguments} | Two tablets.",
        "records at the pause: 0",
        f"rejected Dr. Lind {arguments} | Not yet.",
    ]


def test_only_the_record_of_a_strict_approval_decides(cookbook: Cookbook) -> None:
    printed = cookbook(HERE + "strict.py", call("transfer", euros=900, to="Ott"), "Paid.")
    refused, ended = printed.splitlines()
    assert refused.startswith("refused: ")
    assert ended == "COMPLETED Paid."


def test_a_resolution_has_values_and_results(cookbook: Cookbook) -> None:
    quote, brakes = call("quote", job="wheel", price=0), call("test_brakes", bicycle="Ada")
    printed = cookbook(HERE + "values_and_results.py", quote, "80 euros.", brakes, "Yes.")
    assert printed.splitlines() == [
        "user_input -> wheel: 80 euros | 80 euros.",
        "external_execution -> They hold. | Yes.",
    ]


def test_records_are_listed_and_counted(cookbook: Cookbook) -> None:
    printed = cookbook(HERE + "inbox.py", *[call("publish", title="Rain")] * 3)
    assert printed.splitlines() == [
        "2 of 3",
        "ada: 2",
        "agent Editor ['publish']",
        "pending: 2",
        "rejected: ['bob']",
        "deleted: True None",
    ]
