"""From a request to the run that answers it: a new one, a branch, or one that waits."""

import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from kern.agent.branching import branch
from kern.agent.continuation import Continuation
from kern.agent.keywords import RunOptions
from kern.agent.overriding import stored
from kern.agent.request import Request
from kern.agent.work import Work
from kern.errors import InvalidInputError, RunNotFoundError, RunStateError
from kern.models.form import Form
from kern.run.agent import RunOutput
from kern.run.base import RunStatus
from kern.run.codec import decode_object, encode
from kern.run.event import RunOutputEvent
from kern.run.identity import new_id
from kern.run.overrides import Overrides
from kern.run.requirement import RunRequirement
from kern.server.caller import Caller, Scope
from kern.server.problems import RequestError
from kern.server.responses.answers import new_messages
from kern.server.responses.ids import ResponseId, no_conversation, session_of
from kern.server.responses.items import Approval, Said, refused
from kern.server.responses.reading import Found, find, find_run, until_pause
from kern.server.responses.request import Asked
from kern.server.responses.stored import Remembered, Stretch
from kern.server.service import AnyAgent, Service
from kern.webhooks.address import check_webhook

_APPROVAL = "mcpr_"
"""What the id of an ``mcp_approval_request`` begins with; what follows is that of a requirement."""


class Begun(NamedTuple):
    """A response that nobody has begun yet.

    Attributes:
        agent: who answers.
        work: the run.
        remembered: what is remembered of the request.
        metadata: those of its run, without that.
        stretch: which response of the run it is.
        earlier: the events of the run so far.
    """

    agent: AnyAgent
    work: Work
    remembered: Remembered
    metadata: dict[str, Any]
    stretch: int = 0
    earlier: Sequence[RunOutputEvent] = ()


class Beginning(NamedTuple):
    """Turns one request into the run that answers it.

    Attributes:
        service: what is served.
        caller: who asks.
        agent: the agent that is asked.
        asked: what for.
        said: what its input says.
        run_id: the id that a new run is to have; None for any.
    """

    service: Service
    caller: Caller
    agent: AnyAgent
    asked: Asked
    said: Said
    run_id: str | None

    async def begun(self) -> Begun:
        """Return the run, ready to be carried out.

        Raises:
            RequestError: something that the request names is not there, or stands otherwise; or it
                cannot be asked for like this.
        """
        body = self.asked.body
        self._check()
        if not (self.said.messages or self.said.approvals):
            raise refused(
                "input", "There is nothing to do: give an input.", "missing_required_parameter"
            )
        try:
            if self.said.approvals:
                return await self._continued(self.said.approvals)
            if body.previous_response_id is not None:
                return await self._branched(body.previous_response_id)
            return await self._new()
        except InvalidInputError as error:  # All else was looked at before.
            raise refused("input", str(error), "invalid_input") from error

    def _check(self) -> None:
        """Check what can be known of the request by its agent alone.

        Raises:
            RequestError: it cannot be asked for (400).
        """
        body, agent = self.asked.body, self.agent
        wanted = body.parallel_tool_calls
        if wanted is not None and wanted is not agent.parallel_tool_calls:
            raise refused("parallel_tool_calls", "The agent says this itself.", "unsupported_value")
        check_overrides(agent, self.asked.overrides)
        if body.webhook is not None:
            try:
                check_webhook(body.webhook)
            except InvalidInputError as error:
                raise refused("webhook", str(error)) from error

    async def _new(self) -> Begun:
        """Return a run that goes on from none, perhaps in a conversation."""
        body, said = self.asked.body, self.said
        if said.answers and body.conversation is None:
            raise refused(
                "input",
                f"There is no call {said.answers[0]!r:.100} for this output. Give the "
                "previous_response_id of the response that has it, or the call itself before it.",
            )
        session_id = await self._session()
        messages = said.messages
        if said.answers and session_id is not None:
            messages = await new_messages(self.agent, self.caller.user_id, session_id, said)
        remembered = self._remembered(whole=session_id is not None)
        options = self._options(remembered.beside(body.metadata or {}))
        # Without one it has a conversation of its own, whatever the agent was made with.
        options["session_id"] = session_id
        if session_id is None and self.agent.fixed_session_id is not None:
            options["session_id"] = new_id()
        request = Request.of(
            self.agent,
            messages,
            output_schema=self.asked.output_schema,
            yield_run_output=True,
            **options,
        )
        return self._apart(request, remembered)

    def _options(self, metadata: dict[str, Any], *, whole: bool = False) -> RunOptions:
        """Return what any run that answers a request is begun with."""
        body = self.asked.body
        options: RunOptions = {
            "background": bool(body.background),
            "run_id": self.run_id,
            "user_id": self.caller.user_id,
            "metadata": metadata,
            "stream_events": True,
            "raise_on_error": False,
            "overrides": self._overrides(whole=whole),
        }
        if body.background:
            options["webhook"] = body.webhook
            options["session_policy"] = "parallel" if body.conversation is None else "queue"
        if body.store is False:
            options["store"] = False
        return options

    def _apart(self, request: Request, remembered: Remembered) -> Begun:
        """Return a run that has nothing to do with what the process itself has asked before."""
        work = msgspec.structs.replace(request, line=None)
        return Begun(self.agent, work, remembered, decode_object(request.run.metadata))

    def _overrides(self, *, whole: bool = False) -> Overrides | None:
        own = self.asked.overrides
        if whole:
            own = msgspec.structs.replace(own, whole_history=True)
        return None if own == Overrides() else own

    def _remembered(self, *, whole: bool) -> Remembered:
        body = self.asked.body
        return Remembered(
            stretches=(self._stretch(),),
            given=self._echo(),
            previous=body.previous_response_id,
            conversation=body.conversation_id,
            whole=whole,
            store=body.store is not False,
        )

    def _echo(self) -> dict[str, Any]:
        """Return what the response says of the request; what hooks mask is not in it."""
        echo, hooks = self.asked.echo, self.agent.hooks
        if not self.agent.parallel_tool_calls:
            echo = {**echo, "parallel_tool_calls": False}
        if hooks is None or "instructions" not in echo:
            return echo
        return {**echo, "instructions": hooks.at_submit(echo["instructions"])}

    def _stretch(self) -> Stretch:
        body = "" if self.run_id is None else self.asked.fingerprint
        return Stretch(bool(self.asked.body.background), self.run_id, body, int(time.time()))

    async def _session(self) -> str | None:
        """Return the session of a new run, where the request names one.

        Raises:
            RequestError: there is none (404).
        """
        named = self.asked.body.conversation_id
        if named is None:
            return None
        session_id = session_of(named, "conversation")
        session = await self.agent.aget_session(session_id, self.caller.user_id)
        if session is None or not (session.agent_id is None or self.caller.sees(session.agent_id)):
            raise no_conversation(named, "conversation")
        return session_id

    async def _branched(self, previous: str) -> Begun:
        """Return a run that goes on from where another response has ended."""
        param = "previous_response_id"
        found = await find(self.service, self.caller, previous, self.caller.user_id, param)
        await _check_ended(found, previous)
        body, earlier = self.asked.body, found.remembered
        whole = earlier is not None and earlier.whole
        remembered = self._remembered(whole=whole)
        metadata = remembered.beside({**(self.agent.metadata or {}), **(body.metadata or {})})
        form = Form.of(self.asked.output_schema)
        try:
            request = await branch(
                self.agent,
                found.record.run_id,
                self.said.messages,
                {"fork": True, "continue_from": "end"},
                yield_run_output=True,
                **self._options(metadata, whole=whole),
            )
        except RunNotFoundError as error:  # It is in another database than the agent's.
            raise refused(param, str(error), "previous_response_not_found", 404) from error
        # Of the other run it has the messages, and nothing else.
        run = msgspec.structs.replace(
            request.run,
            metadata=encode(metadata, "metadata"),
            output_schema=None if form is None else form.to_json(),
        )
        if form is None and self.agent.answering is not None:
            form = self.agent.answering.form
        return self._apart(msgspec.structs.replace(request, run=run, form=form), remembered)

    async def _continued(self, approvals: Sequence[Approval]) -> Begun:
        """Return the run that waits for these approvals, ready to go on."""
        if not self.caller.may(Scope.approve):
            raise RequestError(
                403,
                "To answer an mcp_approval_request needs the scope approve.",
                code="insufficient_scope",
                param=approvals[0].param,
            )
        found = await self._waiting(approvals[0])
        run: RunOutput[Any] = RunOutput.from_record(found.record)
        if run.status is not RunStatus.paused:
            raise _wrong_status(
                f"The response {found.response} does not wait for an approval (any more).",
                approvals[0].param,
            )
        if run.agent_id != self.agent.id:
            raise refused("model", f"The response is one of the agent {run.agent_id!r:.100}.")
        requirements = [_answered(run, each) for each in approvals]
        earlier, pauses = await until_pause(self.agent, run.run_id)
        known = found.remembered or Remembered()
        self._check_same(known)
        remembered = _with_stretch(known, pauses, self._stretch(), found.record.foreground)
        metadata: dict[str, Any] = {**(run.metadata or {}), **(self.asked.body.metadata or {})}
        continuation = Continuation.of(
            self.agent,
            run.run_id,
            {
                "requirements": requirements,
                "input": self.said.messages or None,
                "background": bool(self.asked.body.background),
                "user_id": self.caller.user_id,
                "metadata": remembered.beside(self.asked.body.metadata or {}),
                "stream_events": True,
                "raise_on_error": False,
            },
            yield_run_output=True,
        )
        work = await continuation.work(is_read=True)
        return Begun(self.agent, work, remembered, metadata, pauses, earlier)

    async def _waiting(self, approval: Approval) -> Found:
        """Return the response whose run waits for an approval."""
        named = self.asked.body.previous_response_id
        if named is not None:
            param = "previous_response_id"
            return await find(self.service, self.caller, named, self.caller.user_id, param)
        run_id = approval.request.removeprefix(_APPROVAL).split("/")[0]
        user_id = self.caller.user_id
        known = await find_run(self.service, self.caller, run_id, user_id, unstored=True)
        if known is None:
            raise _no_request(approval)
        agent, store, record = known
        return Found(agent, store, record, ResponseId(record.run_id))

    def _check_same(self, known: Remembered) -> None:
        """Check that the request asks for nothing else than the one whose run goes on.

        Raises:
            RequestError: it does (400).
        """
        body, given = self.asked.body, self._echo()
        for name, value in given.items():
            if name not in ("user", "safety_identifier") and known.given.get(name) != value:
                raise refused(
                    name,
                    f"{name} cannot be changed: the approval continues the run that asked for it, "
                    "with what that was given. Leave it out, or give the same.",
                )
        if body.conversation_id not in (None, known.conversation):
            raise refused("conversation", "The run that goes on is not in this conversation.")
        if body.store is False and known.store:
            raise refused("store", "The run that goes on is stored.")
        if body.background and not known.store:
            raise refused("background", "The run that goes on is not stored: store is false.")
        if body.webhook is not None:
            raise refused("webhook", "The webhook of a run is given when it begins.")


def check_overrides(agent: AnyAgent, overrides: Overrides) -> None:
    """Check what a run is to have otherwise than its agent says.

    Raises:
        RequestError: a tool has the name of one of the agent's, or none has the one chosen (400).
    """
    try:
        stored(agent, overrides)
    except InvalidInputError as error:
        own = {*agent.tools, *(each.name for each in agent.session_tools)}
        for place, each in enumerate(overrides.tools):
            if each.name in own:
                raise refused(f"tools[{place}].name", str(error)) from error
        raise refused("tool_choice", str(error)) from error


async def _check_ended(found: Found, previous: str) -> None:
    """Check that a response is the last of its run, and that this has ended.

    Raises:
        RequestError: it is not (409).
    """
    record, param = found.record, "previous_response_id"
    last = ResponseId(record.run_id, await found.current())
    if found.response.stretch < last.stretch:
        raise _wrong_status(f"The response {previous} was continued: go on from {last}.", param)
    if record.status is RunStatus.paused:
        raise _wrong_status(
            f"The response {previous} waits for a person. Answer its mcp_approval_request with an "
            "mcp_approval_response, or what else it waits for by the runs API.",
            param,
        )
    if not record.status.is_terminal:
        raise _wrong_status(
            f"The response {previous} has not ended: it is {record.status}. Wait for it, or "
            "cancel it.",
            param,
        )


def _answered(run: RunOutput[Any], approval: Approval) -> RunRequirement:
    """Return what a run waits for, answered by an approval."""
    wanted = approval.request.removeprefix(_APPROVAL)
    for each in run.requirements:
        if each.id == wanted and each.pause_type == "confirmation":
            try:
                each.confirm() if approval.approve else each.reject(approval.reason)
            except (InvalidInputError, RunStateError) as error:
                raise refused(approval.param, str(error)) from error
            return each
    raise _no_request(approval)


def _no_request(approval: Approval) -> RequestError:
    return refused(
        approval.param,
        f"There is no mcp_approval_request {approval.request!r:.100} that waits for an answer.",
    )


def _wrong_status(detail: str, param: str) -> RequestError:
    return refused(param, detail, "wrong_status", 409)


def _with_stretch(known: Remembered, place: int, stretch: Stretch, foreground: bool) -> Remembered:
    """Return what is remembered of a run that goes on, with one response more."""
    stretches = list(known.stretches[:place])
    while len(stretches) < place:  # Those that were asked for otherwise.
        stretches.append(Stretch(background=not foreground))
    return msgspec.structs.replace(known, stretches=(*stretches, stretch))
