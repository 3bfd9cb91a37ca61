"""A call that needs an approval is made once it is approved, by anyone, anywhere, at any time."""

import asyncio
import signal
import time
from typing import Any

import pytest
from elsewhere import Elsewhere
from stores import same

from kern.agent import Agent
from kern.approval import ApprovalType, approval
from kern.db.database import Database
from kern.db.methods import Methods
from kern.db.sqlite import SqliteDb
from kern.errors import ConfigurationError, InvalidInputError, RunStateError
from kern.models.openai import OpenAIResponses
from kern.run.agent import RunOutput
from kern.run.base import RunStatus
from kern.testing import Reply, ResponsesServer
from kern.tools import Toolkit, tool

SERVED = """
from kern.approval import approval
from kern.tools import tool

@approval
@tool
def pay() -> str:
    say("paid")
    return "paid"

agent = Agent("Tester", OpenAIResponses("test-model", max_retries=0), db=db, tools=[pay])
"""


class Cashier:
    """An agent whose tools need approvals, and what they did."""

    def __init__(self, db: Database, model: OpenAIResponses, server: ResponsesServer) -> None:
        self.made: list[str] = []
        self.approvals: list[object] = []
        self.server = server
        assert isinstance(db, Methods)
        self.db = db

        @approval
        @tool
        def pay(amount: int) -> str:
            self.made.append(f"pay {amount}")
            return "paid"

        @approval
        @tool(requires_user_input=True, user_input_fields=["to"])
        def send(amount: int, to: str) -> str:
            self.made.append(f"send {amount} to {to}")
            return "sent"

        @approval
        @tool(external_execution=True)
        def wire(amount: int) -> str:
            raise AssertionError(amount)

        @tool(requires_confirmation=True)
        @approval(type="audit")
        def note(text: str) -> str:
            self.made.append(f"note {text}")
            return "noted"

        @approval(strict=True)
        @tool
        def erase() -> str:
            self.made.append("erase")
            return "erased"

        def look(run_output: RunOutput) -> None:
            self.approvals.append((run_output.metadata or {}).get("approval"))

        tools: list[Any] = [pay, send, wire, note, erase]
        self.agent = Agent("Cashier", model, db=db, tools=tools, post_hooks=[look])

    async def begin(self, *calls: tuple[str, dict[str, Any]], **options: Any) -> RunOutput:
        """Have a run pause for these calls."""
        self.server.script += [Reply.tool_calls(*calls), Reply.text("Well.")]
        given: dict[str, Any] = {"run_id": "run", "background": True} | options
        run: RunOutput = await self.agent.arun("Do it", **given)
        if given["background"]:
            run = await self.agent.await_run(run.run_id, 20) or run
        assert run.is_paused
        return run

    async def ended(self) -> RunOutput:
        run = await self.agent.await_run("run", 20, until="end")
        assert run
        assert run.status is RunStatus.completed, run.error
        return run

    async def pending(self) -> list[dict[str, Any]]:
        return (await self.db.aget_approvals(status="pending"))[0]

    async def only(self) -> dict[str, Any]:
        [found], total = await self.db.aget_approvals()
        assert total == 1
        return found

    async def resolve(self, status: str, **fields: Any) -> dict[str, Any] | None:
        [found] = await self.pending()
        return await self.db.aupdate_approval(
            found["id"], "pending", status=status, resolved_by="boss", **fields
        )

    def told(self) -> str:
        """What the model was told of the last call."""
        return str(self.server.requests[-1].body["input"][-1]["output"])


def approval_in(run: RunOutput) -> dict[str, Any]:
    """The record by which a run went on."""
    found = (run.metadata or {})["approval"]
    assert isinstance(found, dict)
    return found


@pytest.fixture
def cashier(db: Database, model: OpenAIResponses, server: ResponsesServer) -> Cashier:
    return Cashier(db, model, server)


async def test_a_background_run_goes_on_by_itself_once_its_record_is_approved(
    cashier: Cashier,
) -> None:
    run = await cashier.begin(("pay", {"amount": 5}), user_id="ada", session_id="chat")
    [requirement] = run.active_requirements
    record = await cashier.only()
    assert record["id"] == requirement.approval_id
    assert record["id"] == requirement.tool_execution.approval_id
    wanted = {
        "run_id": "run",
        "session_id": "chat",
        "status": "pending",
        "approval_type": "required",
        "pause_type": "confirmation",
        "tool_name": "pay",
        "tool_args": {"amount": 5},
        "source_type": "agent",
        "source_name": "Cashier",
        "agent_id": "cashier",
        "user_id": "ada",
        "run_status": "PAUSED",
        "context": {"tool_names": ["pay"], "source_name": "Cashier"},
        "resolved_by": None,
        "strict": False,
    }
    assert {name: record[name] for name in wanted} == wanted
    assert record["requirements"][0]["id"] == requirement.id
    other = same(cashier.db)
    assert isinstance(other, Methods)
    assert await other.aupdate_approval(
        record["id"], expected_status="pending", status="approved", resolved_by="boss"
    )
    run = await cashier.ended()
    assert cashier.made == ["pay 5"]
    approved = approval_in(run)
    assert (approved["id"], approved["resolved_by"]) == (record["id"], "boss")
    assert cashier.approvals == [approved], "post-hooks see by what the run went on"
    assert (await cashier.only())["run_status"] == "COMPLETED"
    await other.aclose()


async def test_a_rejection_is_told_to_the_model_with_its_note(cashier: Cashier) -> None:
    await cashier.begin(("pay", {"amount": 5}))
    await cashier.resolve("rejected", resolution_data={"note": "Too much."})
    await cashier.ended()
    assert cashier.made == []
    assert "Too much." in cashier.told()


async def test_each_call_is_decided_by_itself(cashier: Cashier) -> None:
    await cashier.begin(("pay", {"amount": 1}), ("pay", {"amount": 2}), ("pay", {"amount": 3}))
    records = {each["tool_args"]["amount"]: each["id"] for each in await cashier.pending()}
    assert await cashier.db.aupdate_approval(records[2], status="rejected")
    assert await cashier.db.aupdate_approval(records[3], status="approved")
    while not cashier.made:  # noqa: ASYNC110 # the tool has no event
        await asyncio.sleep(0.01)
    run = await cashier.agent.await_run("run", 20)
    assert run
    assert cashier.made == ["pay 3"]
    assert [each.approval_id for each in run.active_requirements] == [records[1]]
    assert [each["id"] for each in await cashier.pending()] == [records[1]]
    assert await cashier.db.aupdate_approval(records[1], status="approved")
    await cashier.ended()
    assert cashier.made == ["pay 3", "pay 1"]


@pytest.mark.parametrize(
    ("call", "lacking", "data", "made"),
    [
        (("pay", {"amount": 5}), None, {"arguments": {"amount": 4}}, "pay 4"),
        (("send", {"amount": 5}), {}, {"values": {"to": "ada"}}, "send 5 to ada"),
        (("send", {"amount": 5}), {"values": {"whom": "ada"}}, {"values": {"to": "b"}}, None),
        (("wire", {"amount": 5}), {"values": {"to": "ada"}}, {"result": "wired"}, None),
        (("pay", {"amount": 5}), {"arguments": {"amount": "much"}}, {}, "pay 5"),
        (("pay", {"amount": 5}), {"values": {"amount": 4}}, {}, "pay 5"),
    ],
)
async def test_an_approval_holds_what_was_given_with_it(
    call: tuple[str, dict[str, Any]],
    lacking: dict[str, Any] | None,
    data: dict[str, Any],
    made: str | None,
    sqlite_db: SqliteDb,
    model: OpenAIResponses,
    server: ResponsesServer,
) -> None:
    cashier = Cashier(sqlite_db, model, server)
    await cashier.begin(call)
    if lacking is not None:
        with pytest.raises(InvalidInputError):
            await cashier.resolve("approved", resolution_data=lacking)
        assert len(await cashier.pending()) == 1, "nothing was changed"
    await cashier.resolve("approved", resolution_data=data)
    await cashier.ended()
    if made is not None:
        assert cashier.made == [made]
    elif call[0] == "wire":
        assert cashier.told() == "wired"


async def test_continuing_a_background_run_resolves_its_records_by_the_same_act(
    cashier: Cashier,
) -> None:
    run = await cashier.begin(("pay", {"amount": 5}), ("pay", {"amount": 6}))
    first, second = run.requirements
    first.confirm()
    second.reject("No.")
    await cashier.agent.acontinue_run(run, by="ada")
    await cashier.ended()
    assert cashier.made == ["pay 5"]
    found, _ = await cashier.db.aget_approvals(run_id="run")
    states = {each["tool_args"]["amount"]: each for each in found}
    assert (states[5]["status"], states[5]["resolved_by"]) == ("approved", "ada")
    assert (states[6]["status"], states[6]["resolution_data"]) == ("rejected", {"note": "No."})
    assert await cashier.db.aupdate_approval(states[5]["id"], "pending", status="rejected") is None


async def test_in_the_foreground_answers_pass_a_record_by_until_it_is_resolved(
    cashier: Cashier,
) -> None:
    run = await cashier.begin(("pay", {"amount": 5}), background=False)
    run.requirements[0].confirm()
    run = await cashier.agent.acontinue_run(run_id="run", requirements=run.requirements)
    assert run.status is RunStatus.completed
    assert cashier.made == ["pay 5"]
    assert await cashier.db.aget_pending_approval_count() == 1
    resolved = await cashier.resolve("approved", resolved_at=int(time.time()))
    assert resolved
    assert resolved["run_status"] == "COMPLETED"


async def test_in_the_foreground_a_run_without_answers_goes_on_by_its_record(
    cashier: Cashier,
) -> None:
    await cashier.begin(("pay", {"amount": 5}), background=False)
    with pytest.raises(RunStateError, match=r"waits for the approval .* it is pending"):
        await cashier.agent.acontinue_run(run_id="run")
    resolved = await cashier.resolve("approved")
    assert resolved
    assert resolved["run_status"] == "PAUSED", "it is for its caller to continue"
    run = await cashier.agent.acontinue_run(run_id="run")
    assert run.status is RunStatus.completed
    assert cashier.made == ["pay 5"]
    assert approval_in(run)["resolved_by"] == "boss"
    assert cashier.approvals == [approval_in(run)]


@pytest.mark.parametrize("background", [True, False])
async def test_of_a_strict_approval_the_record_alone_decides(
    background: bool, cashier: Cashier
) -> None:
    run = await cashier.begin(("erase", {}), background=background)
    run.requirements[0].confirm()
    with pytest.raises(RunStateError, match="strict: only its record decides; it is pending"):
        await cashier.agent.acontinue_run(run)
    assert cashier.made == []
    assert await cashier.resolve("rejected")
    if not background:
        await cashier.agent.acontinue_run(run)
    await cashier.ended()
    assert cashier.made == [], "whatever was passed"


@pytest.mark.parametrize("background", [True, False])
@pytest.mark.parametrize("allowed", [True, False])
async def test_an_audit_is_the_record_of_a_decision(
    background: bool,
    allowed: bool,
    sqlite_db: SqliteDb,
    model: OpenAIResponses,
    server: ResponsesServer,
) -> None:
    cashier = Cashier(sqlite_db, model, server)
    run = await cashier.begin(("note", {"text": "hi"}), background=background)
    assert await cashier.db.aget_approvals() == ([], 0), "nobody has decided yet"
    if allowed:
        run.requirements[0].confirm()
    else:
        run.requirements[0].reject("No.")
    await cashier.agent.acontinue_run(run, by="ada")
    await cashier.ended()
    record = await cashier.only()
    assert record["approval_type"] == "audit"
    assert record["status"] == ("approved" if allowed else "rejected")
    assert (record["resolved_by"], record["tool_name"]) == ("ada", "note")
    assert cashier.made == (["note hi"] if allowed else [])


async def test_a_run_goes_on_by_a_record_though_its_process_and_that_of_the_decision_are_gone(
    elsewhere: Elsewhere, server: ResponsesServer, shared_db: Database
) -> None:
    server.script += [Reply.tool_calls(("pay", {})), Reply.text("Well.")]
    begins = elsewhere(
        SERVED + "await agent.arun('Pay', background=True, run_id='run')\n"
        "say((await agent.await_run('run')).status)\nawait hear()"
    )
    assert await begins.said() == "PAUSED"
    begins.send(signal.SIGKILL)
    await begins.ended()
    decides = elsewhere(
        "[found], _ = await db.aget_approvals(status='pending')\n"
        "say((await db.aupdate_approval(found['id'], 'pending', status='approved'))['run_status'])"
        "\nawait hear()"
    )
    assert await decides.said() == "PENDING"
    decides.send(signal.SIGKILL)
    await decides.ended()
    goes_on = elsewhere(
        SERVED + "from kern.agent.serving import serve\n"
        "serving = asyncio.create_task(serve([agent]))\n"
        "say((await agent.await_run('run', until='end')).content)"
    )
    assert [await goes_on.said(), await goes_on.said()] == ["paid", "Well."]


async def test_a_cancelled_run_takes_its_records_back(cashier: Cashier) -> None:
    await cashier.begin(("pay", {"amount": 5}))
    await cashier.agent.acancel_run("run")
    record = await cashier.only()
    assert (record["status"], record["run_status"]) == ("cancelled", "CANCELLED")
    with pytest.raises(RunStateError, match="was cancelled"):
        await cashier.db.aupdate_approval(record["id"], status="approved")


async def test_a_record_that_expires_is_expired_and_the_model_is_told(
    sqlite_db: SqliteDb,
    model: OpenAIResponses,
    server: ResponsesServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KERN_HEARTBEAT", "600")  # Else a sweep could have it go on before.

    @approval
    @tool(expires_in=0.01)
    def pay() -> str:
        raise AssertionError("nobody has allowed it")

    cashier = Cashier(sqlite_db, model, server)
    cashier.agent = Agent("Cashier", model, db=sqlite_db, tools=[pay])
    run = await cashier.begin(("pay", {}))
    record, expires_at = await cashier.only(), run.requirements[0].expires_at
    assert expires_at
    while time.time() < expires_at:  # noqa: ASYNC110 # a moment has no event
        await asyncio.sleep(0.01)
    assert await cashier.db.aupdate_approval(record["id"], "pending", status="approved") is None
    store = await sqlite_db.store()
    async with asyncio.timeout(20):
        while not await store.expired_pauses(10):  # noqa: ASYNC110 # a moment has no event
            await asyncio.sleep(0.05)
    await cashier.ended()
    assert (await cashier.only())["status"] == "expired"
    assert "Nobody has answered in time." in cashier.told()


@pytest.mark.parametrize("kind", ["postgres", "sqlite"])
async def test_of_a_record_and_an_answer_at_once_one_counts(
    kind: str, request: pytest.FixtureRequest, model: OpenAIResponses, server: ResponsesServer
) -> None:
    db: Database = request.getfixturevalue(f"{kind}_db")
    cashier, other = Cashier(db, model, server), same(db)
    assert isinstance(other, Methods)
    deciders = set[str]()
    for number in range(10):
        run = await cashier.begin(("pay", {"amount": number}), run_id=f"run {number}")
        [requirement] = run.requirements
        requirement.confirm()
        assert requirement.approval_id
        by_record, by_answer = await asyncio.gather(
            other.aupdate_approval(
                requirement.approval_id, "pending", status="rejected", resolved_by="eve"
            ),
            cashier.agent.acontinue_run(run, by="ada"),
            return_exceptions=True,
        )
        ended = await cashier.agent.await_run(run.run_id, 20, until="end")
        assert ended
        record = await other.aget_approval(requirement.approval_id)
        assert record
        if isinstance(by_answer, RunStateError):
            assert isinstance(by_record, dict)
            assert "by eve" in str(by_answer), "the loser is told who was first"
            assert record["resolved_by"] == "eve"
            assert f"pay {number}" not in cashier.made
        else:
            assert by_record is None
            assert (record["status"], record["resolved_by"]) == ("approved", "ada")
            assert f"pay {number}" in cashier.made
        deciders.add(record["resolved_by"])
    assert len(cashier.made) == len({*cashier.made})
    await other.aclose()


def test_an_approval_stands_above_or_below_a_tool() -> None:
    def plain() -> str:
        """Do it."""
        return "done"

    class Kit(Toolkit):
        def __init__(self) -> None:
            super().__init__(tools=[self.drop])

        @approval(type=ApprovalType.required)
        def drop(self) -> str:
            """Drop it."""
            return "dropped"

    above, below = approval(tool(plain)), tool(approval(type="required")(plain))
    given = tool(approval_type="required")(plain)
    for each in (above, below, given, Kit().functions["drop"]):
        assert (each.approval_type, each.requires_confirmation) == ("required", True)
    assert above() == "done"
    input = approval()(tool(requires_user_input=True)(plain))
    assert (input.requires_user_input, input.requires_confirmation) == (True, False)
    assert tool(plain).approval_type == "required", "the mark is the function's"


def test_what_does_not_fit_together_is_refused() -> None:
    def plain() -> str:
        return "done"

    with pytest.raises(ConfigurationError, match="'audit' is the record of a decision"):
        approval(type="audit")(tool(plain))
    with pytest.raises(ConfigurationError, match="'audit' is the record of a decision"):
        tool(approval(type="audit")(plain))
    with pytest.raises(ConfigurationError, match="must be 'required' or 'audit', not 'both'"):
        approval(type="both")(plain)  # type: ignore[call-overload] # on purpose
    with pytest.raises(ConfigurationError, match="strict: only with the type 'required'"):
        approval(type="audit", strict=True)
    with pytest.raises(ConfigurationError, match="stands above a function"):
        approval("pay")  # type: ignore[call-overload] # on purpose
