"""Models of leaders, which give members tasks and then say what came of them."""

from typing import Any

from kern.models.base import ModelRequest
from kern.testing import FunctionModel, Reply

DELEGATE = "delegate_task_to_member"


def task(member_id: str, text: str = "Do it.") -> tuple[str, dict[str, Any]]:
    """Return a call that gives a member a task."""
    return DELEGATE, {"member_id": member_id, "task": text}


def calling(*turns: list[tuple[str, dict[str, Any]]]) -> FunctionModel:
    """Return a model that asks for these calls, turn by turn, and then says what they returned."""

    def reply(request: ModelRequest) -> Reply | str:
        done = sum(each.role == "assistant" and bool(each.tool_calls) for each in request.messages)
        if done < len(turns):
            return Reply.tool_calls(*turns[done])
        return f"[{', '.join(each.text for each in request.messages if each.role == 'tool')}]"

    return FunctionModel(reply)


def leading(*member_ids: str) -> FunctionModel:
    """Return a model that gives all of these a task at once."""
    return calling([task(each) for each in member_ids])
