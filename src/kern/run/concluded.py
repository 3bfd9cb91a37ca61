"""What the calls of tools tell beside their results: pieces, events, and parts of the answer."""

from collections.abc import Iterator, Sequence

from kern.run.event import RunEvent
from kern.run.happened import Happened
from kern.run.tool_steps import CustomHappened, ToolConcluded, ToolSlice
from kern.run.turn import Turn

_GAP = "\n\n"


def piece_happened(turn: Turn, step: ToolSlice | CustomHappened) -> Happened:
    """Return the event for what a tool has yielded.

    Args:
        turn: the answer that asked for the call.
        step: what it has yielded.

    Raises:
        LookupError: there is no such call.
    """
    execution = turn.execution(step.place)
    if isinstance(step, CustomHappened):
        more = {"kind": step.kind, "values": step.values, "tool_call_id": execution.tool_call_id}
        return Happened(RunEvent.custom_event, more=more)
    turn.pieces.append((step.place, step.text, step.shown))
    if step.shown:
        return Happened(RunEvent.run_content, step.text)
    return Happened(RunEvent.run_intermediate_content, step.text, execution)


def conclude(turn: Turn, step: ToolConcluded, text: str) -> Iterator[Happened]:
    """Note what a result does beside going to the model; yield the pieces that are new with it.

    Args:
        turn: the answer that asked for the call.
        step: the result.
        text: its text.
    """
    turn.ends |= step.ends
    execution = turn.executions[step.place]
    execution.stop_after_tool_call = step.ends
    if step.rejected is not None:
        execution.confirmed, execution.confirmation_note = False, step.rejected or None
    if step.messages:
        turn.added[step.place] = step.messages
    told = _told(turn, [step.place])
    turn.pieces = [each for each in turn.pieces if each[0] != step.place]
    if not step.shown:
        if told:
            yield Happened(RunEvent.run_content_voided, told)
        return
    turn.shown[step.place] = text
    whole = text if step.ends else text + _GAP
    if told and not whole.startswith(told):
        yield Happened(RunEvent.run_content_voided, told)
        told = ""
    if rest := whole[len(told) :]:
        yield Happened(RunEvent.run_content, rest)


def void_pieces(turn: Turn, places: Sequence[int]) -> Iterator[Happened]:
    """Void what calls have yielded that are made anew.

    Args:
        turn: the answer that asked for them.
        places: the calls.
    """
    if told := _told(turn, places):
        yield Happened(RunEvent.run_content_voided, told)
    turn.pieces = [each for each in turn.pieces if each[0] not in places]


def shown_answer(turns: Sequence[Turn]) -> str:
    """Return the answer of a run in which results of tools are a part of it.

    Args:
        turns: the answers of the run, at least one.
    """
    shown = [turn.shown[place] for turn in turns for place in sorted(turn.shown)]
    shown += filter(None, ["".join(text for _, text, is_shown in turns[-1].pieces if is_shown)])
    if not turns[-1].message.tool_calls:
        shown.append(turns[-1].message.text)
    return _GAP.join(filter(None, shown))


def _told(turn: Turn, places: Sequence[int]) -> str:
    """Return the parts of the answer that readers have of calls without a result."""
    return "".join(text for at, text, shown in turn.pieces if shown and at in places)
