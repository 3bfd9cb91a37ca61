"""One run: its facts, who executes it or why nobody does, and its timeline as it grows."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from fastapi import Request, Response

from kern.db.base import Store
from kern.errors import RunNotFoundError
from kern.operations.listed import error_of, output_of
from kern.operations.looking import Look, look_at
from kern.operations.nesting import Nested, nested_runs
from kern.operations.spans import Span, Spans, Text
from kern.run.agent import RunOutput
from kern.run.base import RunStatus
from kern.run.input import RunInput
from kern.run.record import RunRecord
from kern.run.requirement import RunRequirement
from kern.server.problems import RequestError
from kern.server.runs.shown import without_reserved
from kern.server.service import AnyAgent
from kern.server.streaming import EventStream
from kern.server.ui.following import changes_of
from kern.server.ui.live import live
from kern.server.ui.rendering import page, part
from kern.server.ui.route import pages_router
from kern.server.ui.viewing import Viewer, Viewing

router = pages_router()

# How many spans of a timeline are on a page.
_SPANS = 50

# How many characters of what a model writes are shown, from the end.
_WRITTEN = 20_000

_PARTS = ("facts", "actions", "waiting", "answer", "timeline", "children")


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
        later: whether there are spans after them.
        written: what the model has written so far of the answer under way, from the end.
        children: the runs that its tool calls are.
        may_steer: whether the viewer may stop it, and have it go on.
        may_answer: whether the viewer may answer what it waits for.
    """

    record: RunRecord
    output: RunOutput[Any]
    look: Look
    given: Text
    answer: Text
    error: str | None
    metadata: Mapping[str, object] | None
    waiting: list[RunRequirement]
    spans: list[Span]
    first: int
    later: bool
    written: str
    children: list[Nested]
    may_steer: bool
    may_answer: bool

    @property
    def status(self) -> RunStatus:
        """Where it is."""
        return self.output.status

    @property
    def earlier(self) -> int:
        """Up to which span the page before shows the timeline; 0 where there is none."""
        return self.first


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
        self._given = Text.of(given_text(record))
        self._spans = Spans()
        # A page of an earlier part of the timeline stays where it is.
        self._until = place_in(viewer.request)

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
        self._spans.extend(record, await store.events(self.run_id, self._spans.last_seq))
        output, spans = output_of(record), self._spans.all
        end = min(self._until or len(spans), len(spans))
        first = max(0, end - _SPANS)
        is_paused = record.status is RunStatus.paused
        return Shown(
            record,
            output,
            await look_at(store, [record], with_steps=True),
            self._given,
            Text.of(output.get_content_as_string()),
            error_of(record),
            without_reserved(output.metadata),
            [each for each in output.requirements if not each.is_resolved()] if is_paused else [],
            spans[first:end],
            first,
            end < len(spans),
            self._spans.written[-_WRITTEN:],
            await nested_runs(store, self.run_id, viewer.reach.reads),
            viewer.may_steer(record),
            viewer.may_approve(record.user_id),
        )

    async def parts(self) -> dict[str, str]:
        """Return the parts of the page, each by the id of its element."""
        shown = await self.shown()
        return {
            f"run-{name}": part(f"parts/run_{name}.html", viewer=self._viewer, run=shown)
            for name in _PARTS
        }


def place_in(request: Request) -> int | None:
    """Return up to which place of a list a page goes, as its address says it.

    Raises:
        RequestError: that is no number (400).
    """
    given = request.query_params.get("until", "")
    if not given:
        return None
    if not (given.isascii() and given.isdecimal() and len(given) < 10):
        raise RequestError(400, "until must be a number.", code="invalid_request", param="until")
    return int(given)


def given_text(record: RunRecord) -> str:
    """Return what a run was given, as text; nothing where that is damaged."""
    try:
        messages = RunInput.from_json(record.input or "").messages
    except ValueError:
        return ""
    return "\n\n".join(each.text for each in messages)


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
