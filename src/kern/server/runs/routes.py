"""All routes of the runs API."""

from fastapi import APIRouter

from kern.server.runs import agents, approvals, events, runs, sessions, steering

router = APIRouter()
for each in (agents, runs, events, steering, approvals, sessions):
    router.include_router(each.router)
