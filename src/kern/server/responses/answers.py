"""Results of a client's calls, given to a conversation."""

from kern.run.message import Message
from kern.run.results import check_results, open_calls
from kern.server.responses.items import Said
from kern.server.service import AnyAgent


async def new_messages(
    agent: AnyAgent, user_id: str | None, session_id: str, said: Said
) -> list[Message]:
    """Return what is said to a conversation, without the results that it has already.

    Some clients send the results of all their calls with every request.

    Args:
        agent: who is asked.
        user_id: whose conversation it is.
        session_id: its session.
        said: what is said, with results.

    Raises:
        InvalidInputError: results are not for the calls that it has left to its client.
    """
    last = await agent.aget_last_run_output(session_id, user_id=user_id)
    if last is not None and not last.is_terminal:  # Only the run will know.
        return said.messages
    calls = open_calls([] if last is None else last.messages)
    messages = said.messages
    if unknown := {*said.answers} - {call.id for call in calls}:
        earlier = await agent.aget_session_messages(session_id, user_id=user_id)
        known = unknown & {each.tool_call_id for each in earlier if each.role == "tool"}
        messages = [each for each in messages if each.tool_call_id not in known] or messages
    check_results(calls, messages)
    return messages
