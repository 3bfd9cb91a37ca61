"""The scripts of cookbook/02_agents/12_failure do what they say."""

from cookbook_scripts import Cookbook

from kern.testing import Reply

HERE = "02_agents/12_failure/"


def test_errors_are_raised_with_the_run(cookbook: Cookbook) -> None:
    answers = (Reply.http_error(429), Reply.http_error(400, "No stars."), "2,600 light years.")
    printed = cookbook(HERE + "errors_are_raised.py", *answers).splitlines()
    assert printed[0] == "too many questions: 429"
    assert printed[1].startswith("failed: ERROR ")
    assert "No stars." in printed[1].partition(" | ")[2]
    assert printed[2] == "2,600 light years."


def test_errors_are_returned(cookbook: Cookbook) -> None:
    answers = [Reply.http_error(400, "Fog.")] * 2
    failed, content, status = cookbook(HERE + "errors_are_returned.py", *answers).splitlines()
    assert "Fog." in failed
    assert "Fog." in content
    assert status == "ERROR"


def test_the_whole_run_is_tried_again(cookbook: Cookbook) -> None:
    answers = (Reply.http_error(500), Reply.http_error(500), "Nine metres.")
    printed = cookbook.run(HERE + "whole_run_again.py", *answers)
    assert printed.text == "COMPLETED Nine metres.\n"
    assert "ERROR" not in printed.errors


def test_a_failed_run_goes_on_after_its_last_step(cookbook: Cookbook) -> None:
    call = Reply.tool_calls(("measure", {"place": "the pass"}))
    answers = (call, Reply.http_error(400, "Out of service."), "Not at all.")
    measured, failed, answer = cookbook(HERE + "go_on_later.py", *answers).splitlines()
    assert measured == "measured at the pass"
    assert failed.startswith("ERROR ")
    assert "Out of service." in failed
    assert answer == "COMPLETED Not at all."
