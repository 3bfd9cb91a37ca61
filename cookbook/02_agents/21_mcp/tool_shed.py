"""The server of the scripts beside it, made with the official SDK; it needs no kern.

python tool_shed.py                 speaks over its standard input and output
python tool_shed.py http 8931       serves http://127.0.0.1:8931/mcp
"""

import sys
from typing import Annotated

from mcp.server import MCPServer
from mcp.server.mcpserver import Context, Elicit, Resolve
from mcp_types import ToolAnnotations
from pydantic import BaseModel, Field

server = MCPServer("Tool shed")


@server.tool(annotations=ToolAnnotations(read_only_hint=True))
def look(shelf: str) -> str:
    """Say what lies on a shelf."""
    return f"On the {shelf} shelf: a saw and a plane."


@server.tool(annotations=ToolAnnotations(destructive_hint=True))
def throw_away(thing: str) -> str:
    """Throw something away, for good."""
    return f"The {thing} is gone."


class Damage(BaseModel):
    """What the person says who has used it."""

    part: str = Field(description="which part is broken")


def which_part(thing: str) -> Elicit[Damage]:
    """Ask the person before whom the model sits."""
    return Elicit(f"What is broken at the {thing}?", Damage)


@server.tool()
def repair(thing: str, damage: Annotated[Damage, Resolve(which_part)]) -> str:
    """Have something repaired."""
    return f"The {damage.part} of the {thing} is mended."


@server.tool()
def whose_shed(ctx: Context) -> str:
    """Say whose shed this is, by a header of the request."""
    return f"the shed of {ctx.headers['x-neighbour']}" if ctx.headers else "nobody's shed"


if __name__ == "__main__":
    if sys.argv[1:2] == ["http"]:
        server.run("streamable-http", host="127.0.0.1", port=int(sys.argv[2]))
    else:
        server.run()
