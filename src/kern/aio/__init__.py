"""Tools for asyncio that know nothing of runs: resources of a loop, tasks, batches, retries."""
