"""One run: its facts, who executes it or why nobody does, and its timeline as it grows."""

import asyncio
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

from fastapi import Request, Response

from kern.db.base import Store
from kern.errors import RunNotFoundError
from kern.operations.listed import error_of, given_text, output_of
from kern.operations.looking import Look, look_at
from kern.operations.nesting import Nested, nested_runs
from kern.operations.span import Progress, Span
from kern.operations.spans import Spans
from kern.run.agent import RunOutput
from kern.run.base import RunStatus
from kern.run.record import RunRecord
from kern.server.problems import RequestError
from kern.server.runs.shown import without_reserved
from kern.server.service import AnyAgent
from kern.server.streaming import EventStream
from kern.server.ui.answering import Asked
from kern.server.ui.following import changes_of
from kern.server.ui.live import live
from kern.server.ui.rendering import page, part
from kern.server.ui.route import pages_router
from kern.server.ui.viewing import Viewer, Viewing

router = pages_router()

# How many rows of a journal are read at once.
_AT_ONCE = 500

# How many spans of a timeline are on a page.
_SPANS = 50

# How many characters of what a model writes are shown, from the end.
_WRITTEN = 20_000

# For how long it holds who executes a run, and how its children stand, in seconds.
_FRESH = 0.9

_PARTS = ("facts", "actions", "waiting", "answer", "children")


class Shown(NamedTuple):
    """A run as its page shows it at one moment.

    Attributes:
        record: the run.
        output: the same, as its caller sees it.
        look: who executes it, or why nobody does, and its step.
        given: what it was given.
        answer: what it has produced.
        error: what it failed of.
        metadata: what the caller attached, without what is kern's own.
        waiting: what it waits for, where a person has to answer.
        spans: a part of the timeline.
        first: the place of the first of these among all.
        end: the place after the last of them.
        later: whether there are spans after them.
        written: what the model has written so far of the answer under way, from the end.
        children: the runs that its tool calls are.
        counts_children: whether what it used is said with that of these.
        is_team: whether a team does it, whose members those runs are of.
        progress: how far it has come, where it loads a knowledge base.
        may_steer: whether the viewer may stop it, and have it go on.
        may_answer: whether the viewer may answer what it waits for.
    """

    record: RunRecord
    output: RunOutput[Any]
    look: Look
    given: str
    answer: str
    error: str | None
    metadata: Mapping[str, object] | None
    waiting: list[Asked]
    spans: list[Span]
    first: int
    end: int
    later: bool
    written: str
    children: list[Nested]
    counts_children: bool
    is_team: bool
    progress: Progress | None
    may_steer: bool
    may_answer: bool

    @property
    def status(self) -> RunStatus:
        """Where it is."""
        return self.output.status


class Watched:
    """A run, looked at over and over: of its journal only what is new is read."""

    def __init__(self, viewer: Viewer, agent: AnyAgent, store: Store, record: RunRecord) -> None:
        """Begin.

        Args:
            viewer: who looks.
            agent: an agent in its database.
            store: that database.
            record: the run, with its input.
        """
        self.agent = agent
        self.store = store
        self.run_id = record.run_id
        self._viewer = viewer
        self._given = given_text(record)
        self._spans = Spans()
        self._steps = -1
        self._looked = float("-inf"), Look(record.created_at, [record])
        self._children: list[Nested] = []
        self._told: tuple[object, str] = (None, "")
        # A page of an earlier part of the timeline stays where it is.
        self._until = number_in(viewer.request, "until")

    @classmethod
    async def of(cls, viewer: Viewer, run_id: str) -> "Watched":
        """Look at a run.

        Raises:
            RequestError: there is none (404).
        """
        reach = viewer.reach
        agent, record = await reach.run(run_id, reach.reads, with_input=True)
        assert agent.db is not None, "the application was made with it"
        return cls(viewer, agent, await agent.db.store(), record)

    async def shown(self) -> Shown:
        """Return the run as it stands now.

        Raises:
            RunNotFoundError: it was deleted.
        """
        store, viewer = self.store, self._viewer
        record = await store.get(self.run_id)  # Once it has ended, its journal ends with it.
        if record is None:
            raise RunNotFoundError(f"The run {self.run_id!r} has been deleted.")
        rows = await store.events(self.run_id, self._spans.last_seq)
        for first in range(0, max(1, len(rows)), _AT_ONCE):
            self._spans.extend(record, rows[first : first + _AT_ONCE])
            await asyncio.sleep(0)  # A load of thousands of documents has as many: others wait.
        await self._look(record)
        output, spans = output_of(record), self._spans.all
        end = min(self._until or len(spans), len(spans))
        first = max(0, end - _SPANS)
        is_paused = record.status is RunStatus.paused
        return Shown(
            record,
            output,
            self._looked[1],
            self._given,
            output.get_content_as_string(),
            error_of(record),
            without_reserved(output.metadata),
            [
                Asked.of(each)
                for each in (output.requirements if is_paused else ())
                if not each.is_resolved()
            ],
            spans[first:end],
            first,
            end,
            end < len(spans),
            self._spans.written[-_WRITTEN:],
            self._children,
            any(each.run_id and each.metrics for each in spans),
            viewer.is_team(record.agent_id) or self._spans.is_team,
            self._spans.progress,
            viewer.may_steer(record),
            viewer.may_approve(record),
        )

    async def _look(self, record: RunRecord) -> None:
        """Look at who executes it, and at its children: not for every piece of text."""
        looked_at, look = self._looked
        now = time.monotonic()
        [before] = look.records
        stands = before.status is record.status and before.attempt == record.attempt
        if stands and self._steps == self._spans.steps and now - looked_at < _FRESH:
            return
        self._steps = self._spans.steps
        self._looked = now, await look_at(self.store, [record], with_steps=True)
        reads = self._viewer.reach.reads
        self._children = await nested_runs(self.store, self.run_id, reads)

    async def parts(self) -> dict[str, str]:
        """Return the parts of the page, each by the id of its element."""
        shown = await self.shown()
        key = shown.status, shown.record.attempt, self._spans.steps, len(self._spans.all)
        if self._told[0] != key:  # A piece of text changes nothing in the timeline, which is long.
            self._told = key, self._part("timeline", shown)
        return {
            **{f"run-{name}": self._part(name, shown) for name in _PARTS},
            "run-timeline": self._told[1],
        }

    def _part(self, name: str, shown: Shown) -> str:
        return part(f"parts/run_{name}.html", viewer=self._viewer, run=shown)


def number_in(request: Request, name: str) -> int | None:
    """Return the number that the query of a page's address says; None where it says none.

    Raises:
        RequestError: it is no number (400).
    """
    return number_of(name, request.query_params.get(name, ""))


def number_of(name: str, given: str) -> int | None:
    """Return the number that was given; None where nothing was.

    Raises:
        RequestError: it is no number (400).
    """
    if not given:
        return None
    if not (given.isascii() and given.isdecimal() and len(given) < 10):
        raise RequestError(400, f"{name} must be a number.", code="invalid_request", param=name)
    return int(given)


@router.get("/runs/{run_id}")
async def show_run(request: Request, run_id: str, viewer: Viewing) -> Response:
    """A run as it stands."""
    watched = await Watched.of(viewer, run_id)
    return page(request, viewer, "run.html", run=await watched.shown())


@router.get("/runs/{run_id}/live")
async def stream_run(request: Request, run_id: str, viewer: Viewing) -> EventStream:
    """The same whenever it has changed."""
    watched = await Watched.of(viewer, run_id)
    changes = changes_of(watched.agent, watched.store, watched.run_id)
    return live(request, viewer, watched.parts, changes)
