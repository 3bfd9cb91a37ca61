"""What an agent says of what its runs leave in their session."""

import re
from dataclasses import dataclass, replace

from kern.run.event import RunEvent
from kern.run.message import Message
from kern.run.output import RunOutput
from kern.session.summary import Summarizing

FILE_NAMES = ("name", "session_id", "user_id", "run_id", "message")
"""What the name of a file may hold in braces."""

IN_BRACES = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True)
class SessionRules:
    """What an agent says of what its runs leave in their session.

    Attributes:
        summarizing: how the summary of the session is made after each run, or None.
        introduction: the agent's own first message of a session, or None.
        stores_tools: whether the messages of tools are stored.
        stores_events: whether a run's output has its events.
        skipped: those that it does not have.
        file: where to write the answer to, or None.
    """

    summarizing: Summarizing | None = None
    introduction: str | None = None
    stores_tools: bool = True
    stores_events: bool = False
    skipped: frozenset[RunEvent] = frozenset()
    file: str | None = None

    def stored(self, output: RunOutput) -> RunOutput:
        """Return the output as it is stored."""
        if self.stores_tools or not any(map(_is_of_tools, output.messages)):
            return output
        own = output.messages
        end = len(own)
        if output.client_calls:  # A later run goes on from the answer with them.
            end = max(place for place, each in enumerate(own) if each.tool_calls)
        kept = [each for each in own[:end] if each.role != "tool"]
        said = [
            replace(each, tool_calls=[], provider=None, provider_items=[])
            if each.tool_calls
            else each
            for each in kept
            if each.text or not each.tool_calls
        ]
        return replace(output, messages=[*said, *own[end:]])


def _is_of_tools(message: Message) -> bool:
    return message.role == "tool" or bool(message.tool_calls)
