"""Programs of the guides do what their pages say."""

import re
from pathlib import Path

from cookbook_scripts import Cookbook

from kern.testing import Reply

GUIDES = Path(__file__).parents[2] / "docs/guides"
PYTHON = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


def program(page: str, word: str) -> str:
    """Return the program of a page that has this word in it."""
    [text] = [each for each in PYTHON.findall((GUIDES / page).read_text()) if word in each]
    return str(text)


def test_a_session_is_remembered(cookbook: Cookbook) -> None:
    assert cookbook.program(program("sessions.md", "Companion"), "Paris.", "Tokyo.") == "Tokyo.\n"
    assert "Paris." in str(cookbook.server.requests[1].body)


def test_a_record_has_an_agent_of_an_agent_go_on(cookbook: Cookbook) -> None:
    calls = (("treasurer", {"input": "900 to Ott"}), ("wire", {"euros": 900, "to": "Ott"}))
    replies = [Reply.tool_calls(call) for call in calls]
    treasurer = program("people.md", "Treasurer")
    out = cookbook.program(treasurer, *replies, "It is wired.", "It is paid.")
    assert out == "[{'euros': 900, 'to': 'Ott'}]\nIt is paid.\n"


def test_a_seat_is_booked(cookbook: Cookbook) -> None:
    call = Reply.tool_calls(("book", {"seat": "A7"}))
    out = cookbook.program(program("state.md", "Box office"), call, "Enjoy the play.")
    assert out == "Enjoy the play.\n{'taken': ['A7']}\n"
    told = [str(request.body) for request in cookbook.server.requests]
    assert "Seats that are taken: []" in told[0]
    assert "jo@example.com" not in told[0]
    assert re.search(r"receipt [0-9a-f]{8} for A7", told[1])


def test_an_invoice_is_read(cookbook: Cookbook) -> None:
    out = cookbook.program(program("structured.md", "image"), '{"number": "R-7", "total": 119}')
    assert re.fullmatch(r"119\.0\nclaude-sonnet-5-5 \S+\n", out), out
    assert "https://example.com/invoice.png" in str(cookbook.server.requests[0].body)


def test_the_fallback_reads_it(cookbook: Cookbook) -> None:
    invoice = program("structured.md", "image")
    out = cookbook.program(invoice, Reply.http_error(401), '{"number": "R-7", "total": 119}')
    assert re.fullmatch(r"119\.0\ngpt-5\.4-mini \S+\n", out), out
