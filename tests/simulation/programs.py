"""What the simulated processes are: workers that serve agents, and others that only use them."""

import asyncio

from kern.agent.serving import serve
from kern.errors import DatabaseUnavailableError
from tests.simulation.world import Process, World


def start(world: World, is_worker: bool) -> Process:
    """Start a process."""
    return world.process(is_worker, _work if is_worker else _wait)


async def _work(process: Process) -> None:
    """Serve all agents; where that cannot begin, try again, as a supervisor does."""
    while not process.stopping.is_set():
        try:
            return await serve(process.agents, grace=3.0, stopping=process.stopping)
        except DatabaseUnavailableError as error:
            process.write(f"cannot serve: {error}")
            await asyncio.sleep(1.0)


async def _wait(process: Process) -> None:
    """Do only what users ask."""
    await process.stopping.wait()
