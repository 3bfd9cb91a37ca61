"""How a run stands, as the result of a call."""

import json
from collections.abc import Mapping
from typing import Any

from mcp.types import CallToolResult, TextContent

from kern.run.agent import RunOutput
from kern.run.base import RunStatus
from kern.run.printable import printable
from kern.run.requirement import RunRequirement
from kern.server.problems import RequestError
from kern.server.runs.shown import requirement_shown, run_shown

# How long an answer may be that is said twice, as text and as data, in characters: clients give up
# messages of a megabyte.
_TWICE = 200_000

# How much of the arguments of a call is shown to who is asked about it, in characters.
_SHOWN = 2000


def told(run: RunOutput[Any], *, answers: bool) -> CallToolResult:
    """Return how a run stands: its answer, a receipt, or what it waits for.

    Args:
        run: the run.
        answers: whether the caller may answer what it waits for.
    """
    match run.status:
        case RunStatus.completed | RunStatus.regenerated:
            return _result(run, run.get_content_as_string())
        case RunStatus.paused:
            return _result(run, _waiting(run, answers=answers))
        case RunStatus.cancelled:
            return _result(run, f"The run {run.run_id} was cancelled.", is_error=True)
        case RunStatus.error:
            return _result(run, f"The run {run.run_id} has failed: {run.error}", is_error=True)
        case RunStatus.pending | RunStatus.running:
            return _result(
                run,
                f"This takes longer. The run {run.run_id} goes on in the background, whatever "
                f"happens to this connection. Call get_run with this run_id to wait for its "
                f"answer, or cancel_run to stop it.",
            )


def cancelled(run: RunOutput[Any]) -> CallToolResult:
    """Return what a cancel has come to."""
    text = "is cancelled" if run.is_cancelled else "stops as soon as its process answers"
    return _result(run, f"The run {run.run_id} {text}.")


def refusal(error: RequestError) -> CallToolResult:
    """Return what a call is refused with."""
    return CallToolResult(
        content=[TextContent(text=printable(error.detail))],
        structured_content={"error": _sendable(error.detail), "code": error.code},
        is_error=True,
    )


def described(run: RunOutput[Any], requirement: RunRequirement) -> str:
    """Return in words what a run waits for.

    Args:
        run: the run.
        requirement: what it waits for.
    """
    who = requirement.member_agent_name or run.agent_name or run.agent_id
    if requirement.message:
        return printable(f"{who}: {requirement.message}")
    call = requirement.tool_execution
    arguments = requirement.arguments or call.arguments
    text = f"{call.tool_name}({arguments[:_SHOWN]}{'…' if len(arguments) > _SHOWN else ''})"
    asks = {
        "confirmation": f"may it call {text}?",
        "user_input": f"what is missing of the call {text}?",
        "user_feedback": "it asks something.",
        "external_execution": f"what does the call {text} return? It is made elsewhere.",
        "unknown_outcome": f"the call {text} was interrupted, and may have had its effect. May it "
        "be made again?",
    }
    return printable(f"{who}: {asks[requirement.kind]}")


def _waiting(run: RunOutput[Any], *, answers: bool) -> str:
    lines = [
        f"- {each.id} ({each.pause_type}) {described(run, each)}"
        for each in run.requirements
        if not each.is_resolved()
    ]
    how = (
        "Ask the user, and give the answer to answer_run."
        if answers
        else "Tell the user so: a person answers it where the runs are shown. "
        "Then call get_run with this run_id."
    )
    return "\n".join([f"The run {run.run_id} waits for a person.", *lines, how])


def _result(run: RunOutput[Any], text: str, *, is_error: bool = False) -> CallToolResult:
    return CallToolResult(
        content=[TextContent(text=_sendable(text))],
        structured_content=_structured(run),
        is_error=is_error,
    )


def _structured(run: RunOutput[Any]) -> Mapping[str, Any]:
    shown = run_shown(run)
    names = ("run_id", "session_id", "agent_id", "status", "content", "error", "error_kind")
    values = {name: shown[name] for name in names if shown.get(name) is not None}
    if len(run.get_content_as_string()) > _TWICE:
        del values["content"]
    if run.status is RunStatus.paused:
        values["requirements"] = [requirement_shown(each) for each in run.requirements]
    plain: Mapping[str, Any] = json.loads(_sendable(json.dumps(values, ensure_ascii=False)))
    return plain


def _sendable(text: str) -> str:
    """Return a text without lone surrogates, which have no UTF-8."""
    return text.encode("utf-8", "replace").decode()
