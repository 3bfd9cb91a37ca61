"""A second server, for several_servers.py."""

from mcp.server import MCPServer

server = MCPServer("Flower bed")


@server.tool()
def water(flower: str) -> str:
    """Water a flower."""
    return f"The {flower} drinks."


if __name__ == "__main__":
    server.run()
