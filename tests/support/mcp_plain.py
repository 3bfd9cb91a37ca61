"""A server of MCP by hand, of the protocol of 2025, that starts at once: ``mcp_plain.py NOTES``.

It notes each call before it does anything, and loses its process in the middle of the first.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

SCHEMA = {"type": "object", "properties": {"amount": {"type": "integer"}}}


def answer(method: str, params: dict[str, Any], notes: Path) -> dict[str, Any]:
    match method:
        case "initialize":
            return {
                "protocolVersion": params["protocolVersion"],
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "plain", "version": "1"},
            }
        case "tools/list":
            return {"tools": [{"name": "pay", "inputSchema": SCHEMA}]}
        case "tools/call":
            is_first = not notes.exists()
            with notes.open("a") as file:
                print(params["_meta"]["kern/idempotency-key"], file=file)
            if is_first:
                os._exit(1)
            return {"content": [{"type": "text", "text": f"paid {params['arguments']['amount']}"}]}
    raise LookupError(method)


def serve(notes: Path) -> None:
    """Answer what comes on standard input, a line each."""
    for line in sys.stdin:
        message = json.loads(line)
        if "id" not in message or "method" not in message:
            continue
        reply: dict[str, Any] = {"jsonrpc": "2.0", "id": message["id"]}
        try:
            reply["result"] = answer(message["method"], message.get("params", {}), notes)
        except LookupError:
            reply["error"] = {"code": -32601, "message": "Method not found"}
        print(json.dumps(reply), flush=True)


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
