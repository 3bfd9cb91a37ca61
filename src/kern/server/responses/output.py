"""The output of a response as it grows, with the events that say so."""

from kern.run.message import Citations
from kern.run.requirement import RunRequirement
from kern.run.tool import ToolExecution
from kern.server.responses.object import Json, ResponseView
from kern.server.responses.shapes import (
    ApprovalItem,
    CallItem,
    CallKey,
    FunctionItem,
    Item,
    ItemStatus,
    MessageItem,
    key_of,
    sources_in,
    unsaid,
)


class Output:
    """The items of a response, and what has been told of them.

    A message is closed when the next thing begins, and not with its model call: until then its text
    may be replaced.

    Attributes:
        items: the items, each at its ``output_index``.
        message: the message that may still grow, or be replaced.
    """

    def __init__(self, view: ResponseView) -> None:
        """Begin with nothing.

        Args:
            view: the response.
        """
        self.items: list[Item] = []
        self.message: MessageItem | None = None
        self._view = view
        self._tail = view.id.removeprefix("resp_")
        self._calls: dict[CallKey, CallItem] = {}
        self._told: list[Json] = []
        self._next = 0

    def told(self) -> list[Json]:
        """Return the events since the last time."""
        told, self._told = self._told, []
        return told

    def tell(self, type: str, **values: object) -> None:
        """Add an event, with the next number."""
        self._told.append({"type": type, "sequence_number": self._next, **values})
        self._next += 1

    def say(self, text: str) -> None:
        """Go on with the message, or begin one."""
        message = self.message or self._begin_message()
        message.pieces.append(text)
        self._told.append(
            {
                "type": "response.output_text.delta",
                "sequence_number": self._next,
                "item_id": message.id,
                "output_index": message.index,
                "content_index": 0,
                "delta": text,
                "logprobs": [],
            }
        )
        self._next += 1

    def void(self, text: str) -> None:
        """Take back what was said last.

        The item of a message keeps its place, without content; what is left of it is said anew.

        Args:
            text: what is void. What earlier responses of the run have said of it stays.
        """
        left: list[str] = []
        for each in reversed(self.items):
            if text and isinstance(each, MessageItem) and each.pieces:
                kept, text = unsaid(each, text)
                if len(kept) < len(each.pieces):
                    self._void(each)
                    left[:0] = kept
        if left:
            self.say("".join(left))

    def replace(self, text: str) -> None:
        """Put a text in the place of the message."""
        if self.message is not None:
            self._void(self.message)
        if text:
            self.say(text)

    def refuse(self) -> None:
        """Have the message be a refusal."""
        if (said := self.message) is None or not said.pieces:
            return
        pieces = said.pieces
        self._void(said)
        # Without a delta: some clients would add it to the text that they have.
        self._begin_message(is_refusal=True).pieces = pieces

    def cite(self, sources: Citations) -> None:
        """Have the message name its sources."""
        if (message := self.message) is None or message.is_refusal:
            return
        cited = sources_in(sources, message.text)
        message.annotations = [{"type": "url_citation", **each} for each in cited]
        for index, each in enumerate(message.annotations):
            self._tell_of(
                message,
                "response.output_text.annotation.added",
                content_index=0,
                annotation_index=index,
                annotation=each,
            )

    def close_message(self, status: ItemStatus = "completed", *, is_answer: bool = False) -> None:
        """End the message, if there is one.

        Args:
            status: how it ends.
            is_answer: whether it is what the run has answered.
        """
        if (message := self.message) is None:
            return
        self.message, message.status = None, status
        if self._view.is_json and status == "completed" and not is_answer:
            message.phase = "commentary"  # Clients read everything else as JSON.
        self._end_text(message, message.text, is_answer=is_answer)
        self._tell_done(message)

    def begin_call(self, call: ToolExecution, approval: str | None) -> CallItem:
        """Begin with a call of one of the agent's own tools; one that begins again is the same.

        Args:
            call: the call.
            approval: the request that has allowed it.
        """
        if (known := self._calls.get(key_of(call))) is not None:
            return known
        self.close_message()
        item = CallItem(self._id("mcp"), len(self.items), self._view.server_label, call, approval)
        self._calls[key_of(call)] = item
        self._tell_added(item)
        self._tell_of(item, "response.mcp_call.in_progress")
        self._tell_of(item, "response.mcp_call_arguments.delta", delta=call.arguments)
        self._tell_of(item, "response.mcp_call_arguments.done", arguments=call.arguments)
        item.is_told = True
        return item

    def end_call(self, call: ToolExecution, approval: str | None, *, failed: bool) -> None:
        """End a call of one of the agent's own tools, whether it has begun or not.

        Args:
            call: the call with its result.
            approval: the request that has allowed it, or not.
            failed: whether the result says what went wrong.
        """
        item = self.begin_call(call, approval)
        del self._calls[key_of(call)]
        item.status, item.result = "failed" if failed else "completed", call.result or ""
        self._tell_of(item, f"response.mcp_call.{item.status}")
        self._tell_done(item)

    def ask(self, requirement: RunRequirement) -> None:
        """Request that a call be allowed."""
        label = requirement.member_agent_id or self._view.server_label
        item = ApprovalItem(len(self.items), label, requirement)
        self._tell_added(item)
        self._tell_done(item)

    def call_client(self, call: ToolExecution) -> None:
        """Have the client make a call."""
        item = FunctionItem(self._id("fc"), len(self.items), call)
        self._tell_added(item)
        arguments = call.arguments
        self._tell_of(item, "response.function_call_arguments.delta", delta=arguments)
        self._tell_of(item, "response.function_call_arguments.done", arguments=arguments)
        item.status = "completed"
        self._tell_done(item)

    def break_off(self) -> None:
        """End everything that has not ended."""
        self.close_message("incomplete")
        for each in self._calls.values():
            each.status = "incomplete"
            self._tell_done(each)
        self._calls.clear()

    def add_untold(self, text: str) -> None:
        """Have a text among the items that was cut off before anybody was told of it.

        It has no events: a run that is retried keeps no such text, and would tell other numbers.
        """
        said = (each.text for each in self.items if isinstance(each, MessageItem))
        if text and text not in said:
            index, id = len(self.items), self._id("msg")
            self.items.append(MessageItem(id, index, [text], "incomplete"))

    def _begin_message(self, *, is_refusal: bool = False) -> MessageItem:
        message = MessageItem(self._id("msg"), len(self.items), is_refusal=is_refusal)
        self.message = message
        self._tell_added(message)
        self._tell_of(
            message, "response.content_part.added", content_index=0, part=message.part("")
        )
        return message

    def _void(self, message: MessageItem) -> None:
        message.pieces, message.is_void, message.status = [], True, "incomplete"
        self._end_text(message, "")
        if message is self.message:  # Else it is done, and clients take what is done twice for two.
            self.message = None
            self._tell_done(message)

    def _end_text(self, message: MessageItem, text: str, *, is_answer: bool = False) -> None:
        if message.is_refusal:
            self._tell_of(message, "response.refusal.done", content_index=0, refusal=text)
        elif is_answer or not self._view.is_json:  # Clients read each text that is done as JSON.
            kind = "response.output_text.done"
            self._tell_of(message, kind, content_index=0, text=text, logprobs=[])
        part = message.part(text)
        self._tell_of(message, "response.content_part.done", content_index=0, part=part)

    def _tell_added(self, item: Item) -> None:
        self.items.append(item)
        self.tell("response.output_item.added", output_index=item.index, item=item.to_dict())

    def _tell_done(self, item: Item) -> None:
        self.tell("response.output_item.done", output_index=item.index, item=item.to_dict())

    def _tell_of(
        self, item: MessageItem | CallItem | FunctionItem, type: str, **values: object
    ) -> None:
        self.tell(type, item_id=item.id, output_index=item.index, **values)

    def _id(self, kind: str) -> str:
        return f"{kind}_{self._tail}_{len(self.items)}"
