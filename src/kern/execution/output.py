"""The output of a run, as the caller is given it who waits for it in this process."""

from copy import copy
from typing import cast

from kern.execution.attempt import Attempt
from kern.execution.compacted import kept
from kern.reasoning.step import step_of
from kern.run.agent import RunOutput
from kern.run.base import RunStatus
from kern.run.beside import thoughts_of
from kern.run.beside_steps import ConversationCompacted
from kern.run.codec import shown
from kern.run.content import AudioPart, Content, FilePart, ImagePart, TextPart
from kern.run.message import Message
from kern.run.steps import OUTPUT_MODEL


def show(attempt: Attempt) -> None:
    """Let an attempt's output show what the steps say, and the text of an unfinished answer."""
    output, state = attempt.output, attempt.journal.state
    turns = state.turns
    if state.fallback is not None:
        output.model_provider, output.model = state.fallback
    output.messages = [*attempt.stored_history, *attempt.messages]
    for turn in attempt.new_turns:
        output.messages += turn.messages
    output.content = attempt.journal.unfinished_text or state.answer_text
    if state.told is not None or state.searched:
        output.references = [*state.references]
    output.tools = [turn.executions[place] for turn in turns for place in sorted(turn.executions)]
    if attempt.spec.call_rules is not None and attempt.spec.call_rules.client:
        _show_client_calls(attempt)
    if attempt.answering is not None or state.hooks:
        _show_answer(attempt)
    if state.beside or attempt.summarized is not None or attempt.spec.compression is not None:
        _show_beside(attempt)
    if output.tools:
        _show_thoughts(attempt)
    duration, output.metrics = output.metrics.duration, state.metrics
    output.metrics.duration = duration
    if state.children:
        output.own_metrics, output.metrics = state.metrics, copy(state.metrics)
        for each in state.children:
            output.metrics.add(each)
    output.metrics.name(output.model, output.model_provider)
    output.requirements = []
    if state.requirements:
        last = turns[-1]
        output.tools += [last.execution(place) for place, _ in last.open_calls]
        output.wait_for(state.requirements)
    if attempt.session_state is not None:
        output.session_state = attempt.session_state.stored


def _show_beside(attempt: Attempt) -> None:
    """Let the output show what was thought before the answer, and the summary that stands for it.

    The summary is for later runs of the session: what the output itself says is whole.
    """
    output, state, rules = attempt.output, attempt.journal.state, attempt.spec.compression
    thoughts = thoughts_of(state.beside)
    if thoughts is not None and not thoughts.is_empty:
        output.reasoning_steps = thoughts.steps
        output.thoughts = thoughts.text
    how = None if rules is None else rules.conversation
    if how is None:
        return
    step = attempt.compacted
    if how.is_whole and state.is_answered and (text := state.answer_text):
        step = ConversationCompacted(text, "")
    session = attempt.spec.session_rules
    if step is not None and step.count is not None and session and not session.stores_tools:
        step = attempt.summarized  # Who counts messages counts those that are stored.
    if step is not None:
        output.compaction = kept(step, output.user_id)


def _show_thoughts(attempt: Attempt) -> None:
    """Let the output show what the model has thought by calling tools for that."""
    output = attempt.output
    thinking = {name for name, tool in attempt.tools.items() if tool.is_thought}
    noted = [each for each in output.tools if each.tool_name in thinking]
    if noted:
        before = thoughts_of(attempt.journal.state.beside)
        steps = [step for each in noted if (step := step_of(each.tool_args)) is not None]
        output.reasoning_steps = [*(before.steps if before else ()), *steps]


def _show_client_calls(attempt: Attempt) -> None:
    """Let the output of a run that ends with calls of its client's tools show them."""
    output, state = attempt.output, attempt.journal.state
    if output.status not in (RunStatus.running, RunStatus.completed) or not state.turns:
        return
    last = state.turns[-1]
    if left := [last.execution(place) for place, _ in last.open_calls]:
        output.tools += left
        if not state.is_shown:
            output.content = last.message.text or None


def _show_answer(attempt: Attempt) -> None:
    """Let the output show the value of the answer, and what secondary models have said."""
    output, state = attempt.output, attempt.journal.state
    output.followups = [*state.followups]
    answer = state.replaced or attempt.answer
    if (state.replaced or state.answers_of(OUTPUT_MODEL)) and output.messages:
        # What its caller was told is what later runs are shown, with the media of the draft.
        text = state.answer_text or ""
        if state.replaced is not None:
            text = shown(state.replaced[0])
        place = len(output.messages) - 1
        while place and output.messages[place].role == "tool":  # It has answered with its calls.
            place -= 1
        draft = output.messages[place]
        made = [each for each in draft.parts if isinstance(each, ImagePart | AudioPart | FilePart)]
        content: Content = (TextPart(text), *made) if made else text
        output.messages[place] = Message("assistant", content, draft.tool_calls)
    if answer is not None:
        # It is a value of JSON here; the agent's methods make an instance of it.
        output.content, output.content_type = cast("tuple[str, str]", answer)


def handed_out(attempt: Attempt) -> RunOutput:
    """Return the output of an attempt that has come to its end, with what is in memory only.

    That are its media; the messages that the model was told before its own; and what each of its
    answers has used.

    Args:
        attempt: the attempt.
    """
    output, state = attempt.output, attempt.state
    output.media = attempt.loaded or None
    used = output.metrics if output.own_metrics is None else output.own_metrics
    if used is not state.metrics:  # Others have carried it on.
        return output
    for turn in state.turns:
        if turn.answered is not None:
            turn.message.metrics = turn.answered.metrics
    if attempt.context:
        own = output.messages[len(attempt.stored_history) :]
        output.messages = [*attempt.context, *own]
    return output
