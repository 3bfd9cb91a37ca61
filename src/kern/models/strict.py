"""Tools to whose parameters a provider holds its model."""

import logging
from collections.abc import Callable, Mapping
from functools import lru_cache

from kern.models.values import Json
from kern.run.printable import one_line
from kern.run.tool import ToolSchema

logger = logging.getLogger("kern")


def strict_parameters(
    tool: ToolSchema, say: Callable[[Mapping[str, object]], Json | None]
) -> Json | None:
    """Return the parameters of a strict tool as a provider takes them.

    None stands for a tool that is not strict, and for one whose parameters cannot be said there: it
    is sent as any other, and kern looks at the arguments of a call anyway.

    Args:
        tool: the tool.
        say: returns a JSON Schema as the provider takes it, or None where it cannot be said.
    """
    if not tool.strict:
        return None
    if not tool.parameters.get("properties"):
        return {"type": "object", "properties": {}, "required": [], "additionalProperties": False}
    said = say(tool.parameters)
    if said is None:
        _warn(tool.name)
    return said


@lru_cache(maxsize=1000)
def _warn(name: str) -> None:
    logger.warning(
        "The provider cannot be told strictly which arguments the tool %s takes; it is sent as one "
        "that is not strict.",
        one_line(name, 60),
    )
