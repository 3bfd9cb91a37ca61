"""Runs that Celery's tasks submit, in the processes of its pool.

celery --app celery_app worker --pool prefork --concurrency 2
"""

import os
from typing import Any

from agents import researcher
from celery import Celery, Task
from celery.signals import worker_process_init

from kern.agent.serving import serve_in_thread

app = Celery("celery_app", broker=os.environ.get("CELERY_BROKER_URL", "redis://localhost"))
app.conf.task_acks_late = True  # A task whose process is killed comes again, with the same id.
app.conf.task_reject_on_worker_lost = True


@worker_process_init.connect
def begin(**_: Any) -> None:
    """Execute the agent's runs from the start of each pool process on."""
    serve_in_thread([researcher])


@app.task(bind=True, ignore_result=True)
def research(self: "Task[..., None]", text: str) -> None:
    """Submit a run and return; the same task is the same run, however often it is delivered."""
    researcher.run(text, background=True, run_id=self.request.id)
