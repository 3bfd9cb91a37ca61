"""What an agent is."""

import re
from collections.abc import Callable, Mapping, Sequence

from kern.db.base import Database
from kern.errors import ConfigurationError
from kern.models.base import Model
from kern.run.codec import check_id
from kern.tools import Tool


class AgentDefinition:
    """A model with a task, tools, and a place to keep its runs.

    Attributes:
        id: the agent's identity across processes; every process that uses an agent of this id on
            the same database shares its background runs.
        name: what people call it.
        model: who answers.
        tools: what the model can have called, by name.
        tool_call_limit: how many calls a run may make, or None for any number.
        dependencies: what the tools find in their context.
        db: where its sessions and runs are kept; None for nowhere.
    """

    def __init__(
        self,
        name: str | None = None,
        model: Model | None = None,
        *,
        id: str | None = None,
        description: str | None = None,
        instructions: str | Sequence[str] | None = None,
        tools: Sequence[Tool | Callable[..., object]] = (),
        tool_call_limit: int | None = None,
        dependencies: Mapping[str, object] | None = None,
        db: Database | None = None,
        add_history_to_context: bool = False,
        num_history_runs: int = 3,
    ) -> None:
        """Define the agent; nothing is opened or started.

        Args:
            name: what people call it.
            model: who answers; required.
            id: its identity; by default the name in lower case with dashes.
            description: who the model is to be.
            instructions: what it is to do: a text, or a list of points.
            tools: what the model can have called: functions, or what ``@tool`` made of them.
            tool_call_limit: how many tool calls a run may make; by default any number.
            dependencies: what the tools find in their context; it is stored nowhere.
            db: where sessions and runs are kept; background runs need one.
            add_history_to_context: whether the model is shown earlier runs of the session.
            num_history_runs: how many of them, the last completed ones.

        Raises:
            ConfigurationError: an argument cannot be used.
        """
        if not isinstance(model, Model):
            raise ConfigurationError(
                "An agent needs a model, such as Agent(model=OpenAIResponses(id='gpt-5-mini'))."
            )
        if num_history_runs < 0:
            raise ConfigurationError(f"num_history_runs must be 0 or more: {num_history_runs}.")
        made = [each if isinstance(each, Tool) else Tool(each) for each in tools]
        self.tools = {each.name: each for each in made}
        if len(self.tools) < len(made):
            raise ConfigurationError("Two tools have one name; give one of them another.")
        self.tool_call_limit = tool_call_limit
        self.dependencies = dict(dependencies or {})
        self.name = name or "Agent"
        self.model = model
        self.db = db
        self.description = description
        self.instructions = instructions
        self.add_history_to_context = add_history_to_context
        self.num_history_runs = num_history_runs
        self._is_named = bool(name or id)
        self.id = check_id("The agent's id", id or _slug(self.name))

    def __repr__(self) -> str:
        return f"Agent({self.name!r}, {self.model!r})"

    @property
    def system_message(self) -> str | None:
        """What the model is told before the conversation, from description and instructions."""
        points = self.instructions or ""
        if not isinstance(points, str):
            points = "\n".join(f"- {point}" for point in points)
        return "\n\n".join(part for part in (self.description, points) if part) or None

    @property
    def history_runs(self) -> int:
        """How many earlier runs of the session the model is shown."""
        return self.num_history_runs if self.add_history_to_context else 0


def _slug(name: str) -> str:
    return re.sub(r"[^\w]+", "-", name.lower()).strip("-") or "agent"
