"""What a call shows of the people who were asked for it."""

from dataclasses import replace

from kern.run.requirement import RunRequirement
from kern.run.tool import ToolExecution


def show_asked(execution: ToolExecution, asked: RunRequirement, *, is_allowed: bool) -> None:
    """Let a call show what a person was asked before it was made.

    Args:
        execution: the call, with the arguments with which it is made.
        asked: what for.
        is_allowed: whether a person has had it made.
    """
    shown = asked.tool_execution
    execution.requires_confirmation |= shown.requires_confirmation
    execution.requires_user_input |= shown.requires_user_input
    execution.external_execution_required |= shown.external_execution_required
    execution.approval_type, execution.approval_id = shown.approval_type, shown.approval_id
    execution.user_input_schema = asked.user_input_schema
    execution.user_feedback_schema = asked.user_feedback_schema
    if not is_allowed:
        return
    if asked.kind == "confirmation":
        execution.confirmed = True
    elif asked.user_input_schema is not None:
        given = execution.tool_args
        execution.answered = True
        execution.user_input_schema = [
            replace(each, value=given.get(each.name)) for each in asked.user_input_schema
        ]


def show_answered(execution: ToolExecution, answer: RunRequirement) -> None:
    """Let a call show what a person has answered to it.

    Args:
        execution: the call.
        answer: the answer.
    """
    if answer.kind in ("user_input", "user_feedback"):
        execution.answered = True
        execution.user_input_schema = answer.user_input_schema
        execution.user_feedback_schema = answer.user_feedback_schema
    else:
        execution.confirmed = answer.confirmation
