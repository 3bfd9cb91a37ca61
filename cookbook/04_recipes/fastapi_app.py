"""A service that submits runs, streams and cancels them: FastAPI.

uvicorn fastapi_app:app --timeout-graceful-shutdown 5
"""

import json
import os
from collections.abc import AsyncIterator
from typing import Annotated

from agents import researcher
from fastapi import FastAPI, Header, HTTPException, Request
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import BaseModel

from kern.agent.serving import lifespan
from kern.errors import InvalidInputError

# Executes from the start on what an earlier process has left. At the end the runs in flight get
# some seconds, and are released then.
app = FastAPI(lifespan=lifespan([researcher], grace=float(os.environ.get("GRACE", "10"))))


class Task(BaseModel):
    text: str
    session_id: str | None = None  # Without one, the run has a conversation of its own.


@app.post("/runs", status_code=202)
async def submit(task: Task) -> dict[str, str | None]:
    run = await researcher.arun(task.text, background=True, session_id=task.session_id)
    return {"run_id": run.run_id, "session_id": run.session_id}


@app.get("/runs/{run_id}")
async def poll(run_id: str) -> dict[str, object]:
    run = await researcher.aget_run_output(run_id)
    if run is None:
        raise HTTPException(404, "There is no such run.")
    return {"status": run.status, "content": run.content, "error": run.error}


@app.get("/runs/{run_id}/events")
async def events(run_id: str, last_event_id: Annotated[int, Header(ge=0)] = 0) -> StreamingResponse:
    await poll(run_id)  # Answers 404 while that is still possible.

    async def lines() -> AsyncIterator[str]:
        async for event in researcher.astream_run(run_id, after=last_event_id):
            data = json.dumps(event.to_dict())
            number = f"id: {event.seq}\n" if event.run_id == run_id else ""  # Else a child's.
            yield f"{number}event: {event.event}\ndata: {data}\n\n"
        yield "event: end\ndata:\n\n"  # A browser would connect again.

    return StreamingResponse(lines(), media_type="text/event-stream")


@app.delete("/runs/{run_id}")
async def cancel(run_id: str) -> dict[str, bool]:
    return {"cancelled": await researcher.acancel_run(run_id)}


@app.exception_handler(InvalidInputError)
async def refuse(_request: Request, error: InvalidInputError) -> JSONResponse:
    return JSONResponse({"detail": str(error)}, status_code=422)
