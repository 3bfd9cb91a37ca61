"""A day of a company: runs of every kind, so that each page has something to show."""

import json
from dataclasses import dataclass, field
from typing import Any

from operated import Operated

from kern.db.methods import Methods
from kern.run.schedule import Schedule
from kern.testing import Reply
from kern.testing.reply import Usage

MARKET = (
    "Heat pumps sold well in 2025: about 3.1 million were installed in Europe, 12 % more than ",
    "the year before. Prices of the units fell by 4 %, those of the installation did not.\n\n",
    "1. Air to water remains the largest part, with 61 %.\n",
    "2. Used refrigerants change from R410A to R290 faster than the law asks for.\n",
    "3. What holds buyers back is the price of electricity, not that of the pump.\n",
)

QUESTIONS = {
    "questions": [
        {
            "question": "How shall the parcel travel?",
            "header": "Parcel",
            "options": [
                {"label": "By rail", "description": "three days"},
                {"label": "By air", "description": "one day, $18"},
            ],
            "multi_select": False,
        },
        {
            "question": "What shall be in it?",
            "header": "Content",
            "options": [
                {"label": "Kettle", "description": "the blue one"},
                {"label": "Lamp", "description": "with a bulb"},
                {"label": "Manual", "description": "in Danish"},
            ],
            "multi_select": True,
        },
    ]
}


@dataclass
class Company:
    """What there is to look at.

    Attributes:
        operator: the key of one who sees and answers what belongs to all.
        runs: the ids of the runs, by what they are good for.
        sessions: the ids of the sessions, likewise.
        approval: the id of the approval that the refund waits for.
        held: what the model holds back, by the same.
    """

    operator: str
    runs: dict[str, str] = field(default_factory=dict)
    sessions: dict[str, str] = field(default_factory=dict)
    held: dict[str, Reply] = field(default_factory=dict)
    approval: str = ""

    def release(self) -> None:
        """Have the model answer what it holds back."""
        for each in self.held.values():
            each.release()


def fill(operated: Operated) -> Company:
    """Have a company work for a while; some of its runs do not end."""
    company = Company(operated.key("olivia", "runs", "approve", "read:all", "admin"))
    keys = {user: operated.key(user) for user in ("mira", "tomas", "yuki")}
    _research(operated, company, keys["mira"])
    _ask_people(operated, company, keys["tomas"])
    _fail(operated, company, keys["yuki"])
    _talk(operated, company, keys["mira"])
    _work_together(operated, company, keys["mira"])
    operated.ask(_schedules)
    return company


async def _schedules(db: Methods) -> None:
    store = await db.store()
    for name, cron in (("morning-report", "0 7 * * 1-5"), ("stock", "30 * * * *")):
        schedule = Schedule.new(
            name,
            "researcher",
            "What is new?",
            now=await store.schedules.now(),
            cron=cron,
            timezone="Europe/Berlin",
            user_id="olivia",
        )
        await store.schedules.create(schedule)
    await store.schedules.pause("stock")


def _research(operated: Operated, company: Company, key: str) -> None:
    operated.says(
        "market for heat pumps",
        Reply.text("I look at two sources first.")
        .calling(("search", {"query": "heat pumps Europe 2025"}), ("search", {"query": "R290"}))
        .counting(Usage(1840, 96)),
        Reply.tool_calls(("read", {"page": "3.1 million units, +12 %"})).counting(Usage(2410, 31)),
        Reply.text(*MARKET).counting(Usage(2890, 412)),
    )
    done = operated.submit(key, "researcher", "Research the market for heat pumps.")
    operated.says(
        "board meeting",
        Reply.tool_calls(("research", {"input": "Which refrigerants will be allowed in 2030?"})),
        Reply.text("R290 and R744 will be; plan for the former.").counting(Usage(980, 120)),
    )
    operated.says("refrigerants", Reply.text("R290 and R744.").counting(Usage(410, 44)))
    nested = operated.submit(key, "lead", "Prepare the board meeting: refrigerants.")
    writing = Reply.text(*MARKET).counting(Usage(2210, 390)).held(after=3)
    operated.says("write the summary", writing)
    live = operated.submit(key, "researcher", "Please write the summary for the press.", live=True)
    company.held["writing"] = writing
    operated.wait(key, done)
    operated.wait(key, nested)
    operated.wait(key, live, "RUNNING")
    company.runs |= {"done": done, "nested": nested, "live": live}


def _ask_people(operated: Operated, company: Company, key: str) -> None:
    asked: dict[str, tuple[str, str, dict[str, Any]]] = {
        "refund": ("Refund order 1042: the kettle came broken.", "refund", _REFUND),
        "ship": ("Send the new kettle to Tomas.", "ship", {"customer": "Tomas"}),
        "stock": ("How many kettles are left?", "count_stock", {"article": "kettle, blue"}),
        "questions": ("Arrange the parcel for Aarhus.", "ask_user", QUESTIONS),
    }
    for name, (text, tool, arguments) in asked.items():
        operated.says(text, Reply.tool_calls((tool, arguments)).counting(Usage(640, 38)))
        company.runs[name] = operated.submit(key, "cashier", text)
    for name in asked:
        operated.wait(key, company.runs[name], "PAUSED")
    asked_for = operated.client(key).get("/v1/approvals", params={"run": company.runs["refund"]})
    company.approval = asked_for.json()["data"][0]["id"]


_REFUND = {"amount": 120, "customer": "Tomas Lind"}


def _fail(operated: Operated, company: Company, key: str) -> None:
    operated.says(
        "Book the hall", Reply.http_error(400, "The model gpt-5.4-mini is not available.")
    )
    failed = operated.submit(key, "researcher", "Book the hall for 400 people.")
    operated.says(
        "seats for the talk",
        Reply.tool_calls(("reserve", {"seats": 400})),
        Reply.text("There are not enough seats.").counting(Usage(320, 12)),
    )
    mended = operated.submit(key, "researcher", "Reserve seats for the talk.")
    held = Reply.hang()
    operated.says("nobody waits for", held)
    cancelled = operated.submit(key, "researcher", "Find what nobody waits for.")
    operated.wait(key, failed, "ERROR")
    operated.wait(key, mended)
    operated.client(key).post(f"/v1/runs/{cancelled}/cancel").raise_for_status()
    company.runs |= {"failed": failed, "mended": mended, "cancelled": cancelled}


def _talk(operated: Operated, company: Company, key: str) -> None:
    said = {
        "Which heat pump fits a house of 1936?": "One with 55 °C flow, unless it is insulated.",
        "And with insulation?": "Then 35 °C are enough, and a smaller one does.",
        "What does that cost?": "About €14,000 with installation.",
    }
    session = "house-of-1936"
    for question, answer in said.items():
        operated.says(question, Reply.text(answer).counting(Usage(540, 60)))
        run = operated.submit(key, "researcher", question, session_id=session)
        operated.wait(key, run)
    state = {"house": {"built": 1936, "area": 140}, "budget": 20000}
    operated.client(key).patch(f"/v1/sessions/{session}/state", json=state).raise_for_status()
    company.sessions["talk"] = session


def _work_together(operated: Operated, company: Company, key: str) -> None:
    task = "delegate_task_to_member"
    operated.says(
        "sail to Skagen",
        Reply.tool_calls(
            (task, {"member_id": "meteorologist", "task": "What wind is there off Grenen?"}),
            (task, {"member_id": "pilot", "task": "What depth has the fairway at low water?"}),
        ).counting(Usage(820, 64)),
        Reply.text("Stay in port until Thursday.").counting(Usage(1210, 58)),
    )
    operated.says(
        "off Grenen",
        Reply.tool_calls(("search", {"query": "wind Grenen"})).counting(Usage(310, 22)),
        Reply.text("A gale from the west until Wednesday.").counting(Usage(390, 31)),
    )
    operated.says("the fairway", Reply.text("Four metres.").counting(Usage(290, 12)))
    team = operated.submit(key, "harbour-office", "Can the ferry sail to Skagen?")
    step = {"title": "Plan", "reasoning": "Read the menu first.", "next_action": "final_answer"}
    menu = "Plaice, cod, herring and a soup of the day. " * 12
    operated.says(
        "table for six",
        json.dumps({"steps": [{**step, "action": None, "result": None, "confidence": 0.9}]}),
        Reply.tool_calls(("read", {"page": menu})).counting(Usage(640, 40)),
        "Fish, and a soup.",
        Reply.tool_calls(("search", {"query": "tables"}), ("start_researcher", {"input": "Wine?"})),
        "The user wants a table for six; there is fish.",
        "There is a table at seven.",
        Reply.text("There is a table at seven, and the wine is white.").counting(Usage(710, 44)),
        Reply.tool_calls(("add_memory", {"memory": "Likes fish.", "topics": ["food"]})),
    )
    aside = operated.submit(key, "concierge", "Find a table for six.")
    operated.wait(key, team)
    operated.wait(key, aside)
    company.runs |= {"team": team, "aside": aside}
