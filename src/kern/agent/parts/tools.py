"""What the model of an agent can have called."""

from collections.abc import Callable, Mapping, Sequence

from kern.agent.checks import check_flag, check_tool_choice, check_tools
from kern.agent.parts.part import Part
from kern.errors import ConfigurationError
from kern.models.base import ToolChoice
from kern.run.numbers import check_count
from kern.tools import Tool, Toolset


class Calling(Part):
    """What the model can have called.

    Attributes:
        tools: functions, what ``@tool`` made of them, other tools, and toolsets; to read, the
            tools by name.
        tool_choice: whether the model is to call tools: ``"auto"``, ``"none"``, ``"required"``, the
            name of a tool, or a dict in the provider's form; by default the provider decides. What
            makes the model call a tool holds for its first answer in a run; after that it is free,
            or it could never end.
        tool_call_limit: how many tool calls a run may make; by default any number. A model that
            asks for more is told so once, and may answer; if it goes on, the run ends in ERROR.
        tool_hooks: functions around each tool call, the first outermost.
        send_media_to_model: False to show the run's media to tools only, as parameters of types
            such as ``list[Image]``.
    """

    tools: Mapping[str, Tool]
    tool_choice: ToolChoice | None = None
    tool_call_limit: int | None = None
    tool_hooks: Sequence[Callable[..., object]] | None = None
    send_media_to_model: bool = True

    toolsets: tuple[Toolset, ...] = ()

    def _build(self) -> None:
        if self.tool_call_limit is not None:
            check_count("tool_call_limit", self.tool_call_limit, ConfigurationError, least=0)
        given = self.__dict__
        tools = given.get("tools") or ()
        if isinstance(tools, Mapping):
            tools = (*tools.values(), *self.toolsets)
        given["tools"], given["toolsets"] = check_tools(tools)
        names = None if self.toolsets else self.tools
        given["tool_choice"] = check_tool_choice(self.tool_choice, names)
        check_flag("send_media_to_model", self.send_media_to_model)
