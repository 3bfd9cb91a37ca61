"""The items of which a response's output is made: messages, calls, requests for approval."""

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from kern.run.codec import join_halves
from kern.run.message import Citations
from kern.run.requirement import RunRequirement
from kern.run.tool import ToolExecution
from kern.server.responses.object import Json

ItemStatus: TypeAlias = Literal["in_progress", "completed", "incomplete", "failed"]
"""How an item stands."""

CallKey: TypeAlias = tuple[str, str, str]
"""What tells calls apart: models give several of one answer the same id."""


@dataclass(slots=True)
class MessageItem:
    """What the agent has said in one model call.

    Attributes:
        id: its id.
        index: its place in the output.
        pieces: its text.
        status: how it stands.
        is_void: whether its text does not count any more.
        is_refusal: whether the model has refused to answer with it.
        phase: ``"commentary"`` where it is not the answer, and clients would read it as such.
        annotations: the sources that it names.
    """

    id: str
    index: int
    pieces: list[str] = field(default_factory=list)
    status: ItemStatus = "in_progress"
    is_void: bool = False
    is_refusal: bool = False
    phase: str | None = None
    annotations: list[Json] = field(default_factory=list)

    @property
    def text(self) -> str:
        """Its text so far."""
        return join_halves("".join(self.pieces))

    def part(self, text: str) -> Json:
        """Return its one part of content, with a text."""
        if self.is_refusal:
            return {"type": "refusal", "refusal": text}
        annotations = [*self.annotations]
        return {"type": "output_text", "annotations": annotations, "logprobs": [], "text": text}

    def to_dict(self) -> Json:
        """Return it as JSON values."""
        content = [] if self.is_void or not self.pieces else [self.part(self.text)]
        values: Json = {
            "id": self.id,
            "type": "message",
            "status": self.status,
            "role": "assistant",
            "content": content,
        }
        return values if self.phase is None else {**values, "phase": self.phase}


@dataclass(slots=True)
class CallItem:
    """A call of one of the agent's own tools.

    Attributes:
        id: its id.
        index: its place in the output.
        server_label: the agent.
        call: the call, as it began.
        approval: the request that has allowed it, or not.
        status: how it stands.
        result: what it came to.
        is_told: whether its arguments have been told.
    """

    id: str
    index: int
    server_label: str
    call: ToolExecution
    approval: str | None = None
    status: ItemStatus = "in_progress"
    result: str | None = None
    is_told: bool = False

    def to_dict(self) -> Json:
        """Return it as JSON values."""
        result, has_failed = self.result, self.status == "failed"
        content = [{"type": "text", "text": result or ""}]
        return {
            "id": self.id,
            "type": "mcp_call",
            "status": self.status,
            "approval_request_id": self.approval,
            "arguments": self.call.arguments if self.is_told else "",
            "error": {"type": "mcp_tool_execution_error", "content": content}
            if has_failed
            else None,
            "name": self.call.tool_name,
            "output": None if has_failed else result,
            "server_label": self.server_label,
        }


@dataclass(slots=True)
class FunctionItem:
    """A call of one of the client's tools.

    Attributes:
        id: its id.
        index: its place in the output.
        call: the call.
        status: how it stands.
    """

    id: str
    index: int
    call: ToolExecution
    status: ItemStatus = "in_progress"

    def to_dict(self) -> Json:
        """Return it as JSON values."""
        is_told = self.status == "completed"
        return {
            "id": self.id,
            "type": "function_call",
            "status": self.status,
            "arguments": self.call.arguments if is_told else "",
            "call_id": self.call.tool_call_id,
            "name": self.call.tool_name,
        }


@dataclass(slots=True)
class ApprovalItem:
    """A request to allow a call of one of the agent's own tools.

    Attributes:
        index: its place in the output.
        server_label: the agent whose tool it is.
        requirement: what the run waits for.
    """

    index: int
    server_label: str
    requirement: RunRequirement

    def to_dict(self) -> Json:
        """Return it as JSON values."""
        call = self.requirement.tool_execution
        return {
            "id": approval_id(self.requirement.id),
            "type": "mcp_approval_request",
            "arguments": call.arguments,
            "name": call.tool_name,
            "server_label": self.server_label,
        }


Item: TypeAlias = MessageItem | CallItem | FunctionItem | ApprovalItem
"""What an output is made of."""


def sources_in(cited: Citations, text: str) -> list[Json]:
    """Return the sources that a text names; where a passage is not known, it is the whole text.

    Args:
        cited: the sources.
        text: the text.
    """
    end = len(text)
    return [
        {
            "start_index": 0 if each.start is None else min(each.start, end),
            "end_index": end if each.end is None else min(each.end, end),
            "title": each.title or each.url,
            "url": each.url,
        }
        for each in cited.urls
    ]


def key_of(call: ToolExecution) -> CallKey:
    """Return what tells a call from others."""
    return call.tool_call_id, call.tool_name, call.arguments


def approval_id(requirement_id: str) -> str:
    """Return the id of the request to allow what a run waits for.

    Example:
        >>> approval_id("run/1/0")
        'mcpr_run/1/0'
    """
    return f"mcpr_{requirement_id}"


def unsaid(item: MessageItem, text: str) -> tuple[list[str], str]:
    """Return what is left of a message where a text does not count any more.

    Parallel tools say theirs in turns, so what is void of them need not be its end.

    Args:
        item: the message.
        text: what is void.

    Returns:
        The pieces that are left, and what is void of earlier messages.

    Example:
        >>> unsaid(MessageItem("msg_1", 0, ["a1 ", "b1 ", "a2 "]), "a1 a2 ")
        (['b1 '], '')
    """
    said = item.text
    if text.endswith(said):
        return [], text.removesuffix(said)
    kept: list[str] = []
    for each in reversed(item.pieces):
        void = text if text.endswith(each) else text.removesuffix(_GAP)
        if void and void.endswith(each):
            text = void.removesuffix(each)
        else:
            kept.append(each)
    return kept[::-1], text


_GAP = "\n\n"
"""What is between the parts of an answer, and was never said where the run ends with both."""
