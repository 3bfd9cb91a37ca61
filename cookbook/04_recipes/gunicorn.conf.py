"""gunicorn reads this file from the directory in which it starts."""

from typing import Any

graceful_timeout = 20  # Seconds for the requests under way; runs are released at once.


def post_worker_init(worker: Any) -> None:
    """Execute the agent's runs from the start of each worker on, and not in what it forks from."""
    from agents import researcher

    from kern.agent.serving import serve_in_thread

    serve_in_thread([researcher])
