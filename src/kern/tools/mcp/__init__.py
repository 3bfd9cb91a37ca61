"""Servers of the Model Context Protocol as tools, over its official SDK (extra ``mcp``).

What knows the protocol lives here: where a server is (``servers``), a session with one
(``connection``), the sessions of an event loop (``pool``), its tools (``tool``), what they return
(``content``), ask (``questions``) and tell meanwhile (``events``). The SDK is imported at the first
session.
"""

from kern.tools.mcp.events import MCPLogEvent, MCPProgressEvent
from kern.tools.mcp.servers import SSEClientParams, StreamableHTTPClientParams
from kern.tools.mcp.toolset import MCPTools, MultiMCPTools

__all__ = [
    "MCPLogEvent",
    "MCPProgressEvent",
    "MCPTools",
    "MultiMCPTools",
    "SSEClientParams",
    "StreamableHTTPClientParams",
]
