"""The tool with which a model changes the state of its session."""

from typing import Any

from kern.run.base import RunContext
from kern.run.codec import encode
from kern.tools.function import tool


@tool
async def update_session_state(
    run_context: RunContext, session_state_updates: dict[str, Any]
) -> str:
    """Change the state of the session, which is kept for the whole conversation.

    Args:
        run_context: the run.
        session_state_updates: the keys to set, each with its new value; others stay as they are.
    """
    state = run_context.session_state = (run_context.session_state or {}) | session_state_updates
    return f"Updated session state: {encode(state, 'session_state')}"
