"""The same in threads: Flask under gunicorn, whose settings are in gunicorn.conf.py.

gunicorn --preload --workers 2 --worker-class gthread --threads 8 flask_app:app
"""

import json
from collections.abc import Iterator

from agents import researcher
from flask import Flask, Response, abort, request

from kern.errors import InvalidInputError

app = Flask(__name__)


@app.post("/runs")
def submit() -> tuple[dict[str, str | None], int]:
    task = request.get_json()
    run = researcher.run(task["text"], background=True, session_id=task.get("session_id"))
    return {"run_id": run.run_id, "session_id": run.session_id}, 202


@app.post("/answers")
def answer() -> dict[str, object]:
    """Run in the foreground: the caller waits, and a caller that is gone ends the run."""
    return {"content": researcher.run(request.get_json()["text"]).content}


@app.get("/runs/<run_id>")
def poll(run_id: str) -> dict[str, object]:
    run = researcher.get_run_output(run_id)
    if run is None:
        abort(404)
    return {"status": run.status, "content": run.content, "error": run.error}


@app.get("/runs/<run_id>/events")
def events(run_id: str) -> Response:
    poll(run_id)
    after = request.headers.get("Last-Event-ID", 0, type=int)

    def lines() -> Iterator[str]:
        for event in researcher.stream_run(run_id, after=after):
            data = json.dumps(event.to_dict())
            number = f"id: {event.seq}\n" if event.run_id == run_id else ""  # Else a child's.
            yield f"{number}event: {event.event}\ndata: {data}\n\n"
        yield "event: end\ndata:\n\n"  # A browser would connect again.

    return Response(lines(), mimetype="text/event-stream")


@app.delete("/runs/<run_id>")
def cancel(run_id: str) -> dict[str, bool]:
    return {"cancelled": researcher.cancel_run(run_id)}


@app.errorhandler(InvalidInputError)
def refuse(error: InvalidInputError) -> tuple[dict[str, str], int]:
    return {"detail": str(error)}, 422
