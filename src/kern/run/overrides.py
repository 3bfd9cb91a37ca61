"""What one run has otherwise than its agent says: more instructions, the client's tools, limits."""

import sys
from collections.abc import Collection, Iterable, Mapping

import msgspec
from msgspec.structs import force_setattr

from kern.errors import InvalidInputError
from kern.run.codec import encode
from kern.run.input import OVERRIDES
from kern.run.numbers import check_count
from kern.run.tool import TOOL_NAME, ToolSchema

EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
"""How long a model may be asked to think, in order."""


class ClientTool(msgspec.Struct, frozen=True, omit_defaults=True):
    """A tool that the client of a run calls, not kern.

    Attributes:
        name: what the model calls; no other tool of the run has the name.
        description: what it is for.
        parameters: its arguments, as a JSON Schema of an object; by default it has none.
        strict: whether the provider is to hold the model to the parameters, where it can; by
            default it does what the provider does by itself.

    Raises:
        InvalidInputError: a value cannot be used.

    Example:
        >>> ClientTool("open_door", "Opens the door.").schema.name
        'open_door'
    """

    name: str
    description: str = ""
    parameters: dict[str, object] | None = None
    strict: bool | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not TOOL_NAME.fullmatch(self.name):
            raise InvalidInputError(
                f"{self.name!r:.100} cannot name a tool: use 1 to 64 letters, digits, underscores "
                "and dashes."
            )
        if not isinstance(self.description, str):
            raise InvalidInputError(f"The description of {self.name} must be a text.")
        if self.strict not in (None, True, False):
            raise InvalidInputError(f"strict of {self.name} must be True, False or None.")
        if self.parameters is None:
            return
        if not isinstance(self.parameters, dict):
            raise InvalidInputError(
                f"The parameters of {self.name} must be a JSON Schema of an object, as a dict."
            )
        encode(self.parameters, f"the parameters of {self.name}")

    @property
    def schema(self) -> ToolSchema:
        """The tool as a model is told of it."""
        parameters = self.parameters or {"type": "object", "properties": {}}
        return ToolSchema(self.name, self.description, parameters, self.strict)


class Overrides(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one run has otherwise than its agent says, in all of its attempts.

    Runs that begin with its messages do not have it, but for those that do it over: answers made
    anew (``regenerate``), and steps done anew (``from_seq`` without ``input``). Runs that its tools
    start do not have it either, nor have secondary models.

    Attributes:
        instructions: what the model is told after the agent's instructions, as it is: no names in
            braces are filled in it. It is no part of the conversation.
        tools: tools that the client calls. Where the model calls some, the run's own calls of that
            answer are made first; then the run ends, COMPLETED, and ``run.client_calls`` has them.
            A later run begins with their results.
        tool_choice: as the agent's, in its place: ``"none"``, ``"auto"``, ``"required"``, the name
            of a tool, or a provider's own form.
        tool_call_limit: how many tool calls the run may make, those of the client not counted; with
            an agent's, the smaller one.
        max_output_tokens: how many tokens each answer of the model may have.
        reasoning_effort: how long the model thinks, one of :data:`EFFORTS`; a provider that knows
            fewer takes the nearest.
        temperature: the sampling temperature, from 0 on.
        top_p: the share of probability to sample from, 0 to 1.
        whole_history: whether the model is shown all earlier runs of the session, whatever the
            agent says of its history.

    Raises:
        InvalidInputError: a value cannot be used.

    Example:
        >>> Overrides(instructions="Be brief.", max_output_tokens=500).temperature is None
        True
    """

    instructions: str | None = None
    tools: tuple[ClientTool, ...] = ()
    tool_choice: str | Mapping[str, object] | None = None
    tool_call_limit: int | None = None
    max_output_tokens: int | None = None
    reasoning_effort: str | None = None
    temperature: float | None = None
    top_p: float | None = None
    whole_history: bool = False

    def __post_init__(self) -> None:
        if self.instructions is not None and not isinstance(self.instructions, str):
            raise InvalidInputError("The instructions of a run must be a text.")
        _check_tools(self.tools)
        force_setattr(self, "tools", tuple(self.tools))
        choice = self.tool_choice
        if not isinstance(choice, str | Mapping | None):
            raise InvalidInputError(f"tool_choice must be a text or a dict, not {choice!r:.50}.")
        if isinstance(choice, Mapping):
            encode(choice, "tool_choice")
        if self.tool_call_limit is not None:
            check_count("tool_call_limit", self.tool_call_limit, least=0)
        if self.max_output_tokens is not None:
            check_count("max_output_tokens", self.max_output_tokens)
        if self.reasoning_effort is not None and self.reasoning_effort not in EFFORTS:
            raise InvalidInputError(
                f"reasoning_effort must be one of {', '.join(EFFORTS)}, not "
                f"{self.reasoning_effort!r:.50}."
            )
        _check_share("temperature", self.temperature)
        _check_share("top_p", self.top_p, 1)


def check_names(names: Iterable[str], taken: Collection[str]) -> None:
    """Make sure that no tool of a client has the name of another one.

    Args:
        names: those of the client's tools.
        taken: those of the agent's own.

    Raises:
        InvalidInputError: one has.
    """
    if twice := next((each for each in names if each in taken), None):
        raise InvalidInputError(
            f"The agent has a tool {twice!r} itself; give the client's another name."
        )


def overrides_of(options: Mapping[str, object]) -> Overrides | None:
    """Return what the options of a stored input say that the run has otherwise; None for nothing.

    Raises:
        ValueError: it is damaged.
    """
    found = options.get(OVERRIDES)
    return None if found is None else msgspec.convert(found, Overrides)


def _check_tools(tools: object) -> None:
    if not isinstance(tools, tuple | list) or not all(isinstance(e, ClientTool) for e in tools):
        raise InvalidInputError(f"tools must be ClientTool objects, not {tools!r:.100}.")
    names = [each.name for each in tools]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise InvalidInputError(f"Two tools of the client have the name {twice!r}.")


def _check_share(name: str, value: object, most: float | None = None) -> None:
    if value is None:
        return
    limit = sys.float_info.max if most is None else most
    if isinstance(value, bool) or not (isinstance(value, int | float) and 0 <= value <= limit):
        until = "on" if most is None else f"to {most:g}"
        raise InvalidInputError(f"{name} must be a number from 0 {until}, not {value!r:.50}.")
