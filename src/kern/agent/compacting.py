"""The agent that sums up a session of another one: the same, but for what follows its answer."""

from dataclasses import replace
from typing import TypeVar

from kern.agent.definition import AnyAgent
from kern.agent.keywords import KEYWORDS
from kern.compression.rules import Compacting, Compression

AgentT = TypeVar("AgentT", bound=AnyAgent)

_RUNS = 1000
"""How many runs of a session are summed up at most, the last ones."""

# What the agent does beside answering; it calls no tools, though it is told of them, so that what
# its provider has cached of the conversation serves it.
_LEFT_OUT = (
    *("pre_hooks", "post_hooks", "output_schema", "parser_model", "output_model", "followups"),
    *("input_schema", "introduction", "save_response_to_file", "reasoning", "reasoning_model"),
    *("reasoning_agent", "enable_session_summaries", "add_knowledge_to_context"),
    *("update_memory_on_run", "enable_user_memories", "num_history_messages", "handoffs"),
    "max_tool_calls_from_history",
)


def compacting(agent: AgentT, how: Compacting) -> AgentT:
    """Return the agent whose next answer in a session is a summary of it.

    Args:
        agent: whose session it is.
        how: how it sums up.
    """
    update: dict[str, object] = {
        name: getattr(type(agent), name, None) for name in _LEFT_OUT if name in KEYWORDS
    }
    update |= {
        "id": agent.id,
        "model": how.model or agent.model,
        "tool_choice": "none",
        "add_history_to_context": True,
        "num_history_runs": max(_RUNS, agent.num_history_runs or 0),
    }
    made = agent.deep_copy(update=update)
    made.__dict__["compression"] = Compression(None, replace(how, is_whole=True))
    return made
