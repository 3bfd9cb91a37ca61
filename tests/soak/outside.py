"""The world outside of kern, in a process of its own: the model, and who is sent webhooks.

The model does what the run's plan says. The plan is the run's input, so the model needs no memory:
it counts what the conversation holds.
"""

import asyncio
import json
import os
import signal
from pathlib import Path
from typing import Any

from aiohttp import web

from kern.testing import Reply, ResponsesServer
from kern.testing.listener import Listener
from tests.soak.ledger import Ledger
from tests.soak.plan import Plan, answer_of


class Outside:
    """Answers, and writes every request to the ledger."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._server = ResponsesServer(default=self._reply)

    async def serve(self) -> None:
        """Answer until SIGTERM; the first line of the output says where."""
        stop = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
        listener = Listener(self._take_webhook)
        async with self._server:
            port = await listener.start()
            print(self._server.base_url, f"http://127.0.0.1:{port}/", flush=True)
            await stop.wait()
            await listener.close()

    def _reply(self, body: dict[str, Any]) -> Reply:
        request = self._server.requests.pop()  # It holds the whole body; nobody else needs it.
        pid = int(request.headers["authorization"].removeprefix("Bearer "))
        given, *items = body["input"]
        plan = Plan.from_json(given["content"])
        results = [item["output"] for item in items if item["type"] == "function_call_output"]
        turn, fault = plan.progress(results)
        self._ledger.write("model", pid=pid, run=plan.run_id, turn=turn)
        if fault:
            self._ledger.write("wrong", pid=pid, run=plan.run_id, turn=turn, note=fault)
        if turn > len(plan.turns):
            return Reply.text(answer_of(plan.run_id)).slow(plan.think)
        calls = [(call.tool, call.arguments) for call in plan.turns[turn - 1]]
        return Reply.tool_calls(*calls).slow(plan.think)

    async def _take_webhook(self, request: web.BaseRequest) -> web.Response:
        told = json.loads(await request.read())
        self._ledger.write("told", run=told["data"]["run_id"], note=told["data"]["status"])
        return web.Response(status=204)


if __name__ == "__main__":
    asyncio.run(Outside(Ledger(Path(os.environ["SOAK_LEDGER"]))).serve())
