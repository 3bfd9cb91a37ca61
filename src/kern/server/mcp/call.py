"""One call of a tool: a run begun, waited for, answered or stopped."""

import logging
from typing import Any, TypeAlias

from mcp.server import ServerRequestContext
from mcp.types import (
    CallToolRequestParams,
    CallToolResult,
    ElicitRequest,
    ElicitResult,
    InputRequiredResult,
)

from kern.errors import InvalidInputError, RunConflictError, RunStateError
from kern.run.agent import RunOutput
from kern.run.base import RunStatus
from kern.server.caller import Scope
from kern.server.mcp.asking import answer_of, can_ask, is_newest, question_of
from kern.server.mcp.following import Progress, Waiting
from kern.server.mcp.given import Answered, RunAsked, RunNamed, Task, read
from kern.server.mcp.results import cancelled, told
from kern.server.mcp.settings import Settings
from kern.server.mcp.tools import OwnTool, form_of
from kern.server.runs import actions
from kern.server.runs.given import Answer, Continuation, NewRun
from kern.server.runs.reach import Reach
from kern.server.runs.shown import output_of
from kern.server.runs.submitting import Keyed, submission_of
from kern.server.service import AnyAgent, Service

logger = logging.getLogger("kern.server")

Context: TypeAlias = ServerRequestContext[Any, Any]

# Where a client says what names the call, the same each time it makes it.
_KEY = "kern/idempotency-key"

# What tells runs that are begun here from those of other requests with the same key.
_PATH = "/mcp"

# Seconds for which a person may think about a question in the middle of a call.
_THINKING = 600.0


class Call:
    """One call of a tool."""

    def __init__(
        self,
        service: Service,
        settings: Settings,
        reach: Reach,
        context: Context,
        params: CallToolRequestParams,
    ) -> None:
        """Do nothing yet.

        Args:
            service: what is served.
            settings: how long it waits, and whether answers are taken.
            reach: what the caller reaches.
            context: the request.
            params: the tool, and its arguments.
        """
        self._service = service
        self._settings = settings
        self._reach = reach
        self._context = context
        self._params = params
        self._key = (context.meta or {}).get(_KEY)
        self._stoppable: tuple[AnyAgent, str] | None = None
        self._progress = Progress(context)
        self._waiting = Waiting(service.streams, reach.caller.user_id)

    async def made(self, tool: OwnTool | AnyAgent) -> CallToolResult | InputRequiredResult:
        """Make the call.

        Args:
            tool: the agent that it is of, or the name of what is done with a run.

        Raises:
            KernError: it is refused.
        """
        self._service.streams.check(self._reach.caller.user_id)
        with self._waiting.open():
            if tool == "get_run":
                return await self._get_run()
            if tool == "cancel_run":
                return await self._cancel_run()
            if tool == "answer_run":
                return await self._answer_run()
            return await self._of_agent(tool)

    async def _of_agent(self, agent: AnyAgent) -> CallToolResult | InputRequiredResult:
        """Have an agent do something."""
        run_id = self._params.request_state  # It comes again, with what a person has answered.
        if run_id is None:
            run_id = await self._begun(agent)
        elif (await self._reach.run(run_id, self._reach.steers))[0] is not agent:
            raise InvalidInputError("request_state is not of this tool. Make the call anew.")
        elif self._key is None:
            self._stoppable = agent, run_id
        return await self._followed(run_id, self._settings.wait)

    async def _get_run(self) -> CallToolResult | InputRequiredResult:
        """Return a run, once it has ended or for a time."""
        asked: RunAsked = read(RunAsked, self._params.arguments)
        wait = self._settings.wait if asked.wait is None else asked.wait
        return await self._followed(asked.run_id, wait)

    async def _cancel_run(self) -> CallToolResult:
        """Stop a run."""
        named: RunNamed = read(RunNamed, self._params.arguments)
        return cancelled(output_of(await actions.cancel(self._reach, named.run_id)))

    async def _answer_run(self) -> CallToolResult | InputRequiredResult:
        """Answer what a run waits for."""
        given: Answered = read(Answered, self._params.arguments)
        await self._proceed(given.run_id, [given.answer()])
        return await self._followed(given.run_id, self._settings.wait)

    async def stop(self) -> None:
        """Cancel the run that it has begun, but where it had a key.

        A client with keys makes a call again that was interrupted, and wants the same run then.
        """
        if self._stoppable is not None:
            agent, run_id = self._stoppable
            logger.info("the client has cancelled its call: run %s is stopped", run_id)
            await agent.acancel_run(run_id, user_id=self._reach.steers)

    async def _begun(self, agent: AnyAgent) -> str:
        """Submit the run that an agent is asked for, and return its id."""
        caller, arguments = self._reach.caller, self._params.arguments or {}
        body = _run_of(agent, arguments)
        if not isinstance(self._key, str | None):
            raise InvalidInputError(f"{_KEY} must be a text.")
        keyed = Keyed(self._key, _PATH, caller, agent.id, arguments, None)
        await keyed.check_queue(self._service, caller, agent)
        submission = submission_of(agent, caller, body, keyed)
        if self._key is None:
            self._stoppable = agent, submission.run.run_id
        try:
            run = await submission.submit()
        except RunConflictError as error:
            raise keyed.refused(error) from error
        keyed.check(run)
        return run.run_id

    async def _followed(self, run_id: str, wait: float) -> CallToolResult | InputRequiredResult:
        """Wait for a run, ask what it waits for as far as the client can, and say how it stands."""
        asks = self._reach.caller.may(Scope.approve) and can_ask(self._context)
        responses = self._params.input_responses
        if asks and responses:
            given = {key: each for key, each in responses.items() if _is_answer(each)}
            asks = await self._answered(await self._looked(run_id), given)
        run = await self._waited(run_id, wait)
        while asks and run.status is RunStatus.paused:
            if is_newest(self._context):
                return _question(run)
            asks = await self._answered(run, await self._asked(run))
            run = await self._waited(run_id, wait)
        return told(run, answers=self._settings.answers and self._reach.caller.may(Scope.approve))

    async def _proceed(self, run_id: str, answers: list[Answer]) -> None:
        given = Continuation.model_validate({"requirements": answers})
        await actions.proceed(self._reach, run_id, given)

    async def _looked(self, run_id: str) -> RunOutput[Any]:
        _, record = await self._reach.run(run_id, self._reach.reads)
        return output_of(record)

    async def _waited(self, run_id: str, wait: float) -> RunOutput[Any]:
        """Return a run as it stands once it has ended or paused, or after a time."""
        user_id = self._reach.reads
        agent, record = await self._reach.run(run_id, user_id)
        if record.status.is_terminal or record.status is RunStatus.paused or not wait:
            return output_of(record)
        work = agent.await_run(record.run_id, user_id=user_id)
        await self._waiting.for_(self._progress.during(work, agent, record.run_id, user_id), wait)
        return await self._looked(run_id)

    async def _asked(self, run: RunOutput[Any]) -> dict[str, ElicitResult]:
        """Ask the client's user in the middle of the call; what is not answered is not there."""
        answers: dict[str, ElicitResult] = {}
        for each in run.active_requirements:
            form = question_of(run, each)
            asking = self._context.session.elicit_form(
                form.message, form.requested_schema, self._context.request_id
            )
            result = await self._waiting.for_(asking, _THINKING)
            if result is None or result.action == "cancel":
                break
            answers[each.id] = result
        return answers

    async def _answered(self, run: RunOutput[Any], given: dict[str, Any]) -> bool:
        """Have a run go on with what people have answered, and say whether they may be asked on."""
        answers: list[Answer] = []
        is_put_aside = not given
        for each in run.active_requirements:
            if (result := given.get(each.id)) is not None:
                answer = answer_of(each, result)
                is_put_aside = is_put_aside or answer is None
                answers += [] if answer is None else [answer]
        if answers:
            try:
                await self._proceed(run.run_id, answers)
            except RunStateError:  # It is too late, or somebody else was first: that counts.
                return False
        return not is_put_aside


def _run_of(agent: AnyAgent, arguments: dict[str, Any]) -> NewRun:
    """Return the run that a call asks for.

    Raises:
        InvalidInputError: the arguments do not fit.
    """
    if form_of(agent) is not None:  # It is held against that where the run is made.
        return NewRun.model_validate({"agent": agent.id, "input": arguments})
    task: Task = read(Task, arguments)
    return NewRun.model_validate({"agent": agent.id, **task.model_dump()})


def _question(run: RunOutput[Any]) -> InputRequiredResult:
    return InputRequiredResult(
        input_requests={
            each.id: ElicitRequest(params=question_of(run, each))
            for each in run.active_requirements
        },
        request_state=run.run_id,
    )


def _is_answer(response: object) -> bool:
    return isinstance(response, ElicitResult)
