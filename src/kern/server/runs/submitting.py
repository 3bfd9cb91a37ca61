"""What submits runs by requests: what the caller may say of them, and requests that come twice."""

from collections.abc import Mapping
from typing import Any, Self

from fastapi import Request, Response

from kern.agent.request import Request as Submission
from kern.errors import ConfigurationError, RunConflictError
from kern.models.form import Form
from kern.run.agent import RunOutput
from kern.server.caller import Caller, Scope
from kern.server.ids import fingerprint, keyed_run_id, reused_key
from kern.server.problems import RequestError
from kern.server.runs.documented import answered, location
from kern.server.runs.given import NewRun, input_of
from kern.server.runs.shown import run_shown
from kern.server.service import AnyAgent, Service

PATH = "/v1/runs"

FINGERPRINT = "kern.request"
"""Where the metadata of a run says by which request with an Idempotency-Key it was begun."""


class Keyed:
    """A request that begins a run, and that is recognised by its key when it comes again.

    Attributes:
        run_id: the run that it begins; None where the request has no key.
        metadata: what is kept with the run; None for nothing.
    """

    def __init__(
        self,
        key: str | None,
        path: str,
        caller: Caller,
        agent_id: str,
        body: object,
        metadata: Mapping[str, object] | None,
    ) -> None:
        """Take a key, if there is one.

        Args:
            key: the key.
            path: the path of the request.
            caller: who sends it.
            agent_id: the agent whose run it begins.
            body: what it asks for, as JSON values.
            metadata: what is to be kept with the run.

        Raises:
            RequestError: the key, or the metadata, cannot be used (400).
        """
        for name in metadata or ():
            if name.startswith("kern."):
                raise RequestError(
                    400,
                    f"{name!r:.100}: what begins with kern. is kern's own in metadata.",
                    code="invalid_input",
                    param="metadata",
                )
        self.run_id = keyed_run_id(key, caller, agent_id)
        self.metadata = None if metadata is None else {**metadata}
        self._mark = None
        if self.run_id is not None:
            self._mark = fingerprint([path, body])
            self.metadata = {**(metadata or {}), FINGERPRINT: self._mark}

    @classmethod
    def of(
        cls,
        request: Request,
        caller: Caller,
        agent_id: str,
        body: object,
        metadata: Mapping[str, object] | None,
    ) -> Self:
        """Look for the key in the header of a request; see the arguments of the class.

        Raises:
            RequestError: the key, or the metadata, cannot be used (400).
        """
        key = request.headers.get("idempotency-key")
        return cls(key, request.scope["path"], caller, agent_id, body, metadata)

    async def check_queue(self, service: Service, caller: Caller, agent: AnyAgent) -> None:
        """Count the run that is about to be submitted, unless it has been before.

        Raises:
            RequestError: too many runs of this user wait already (429).
        """
        known = None
        if self.run_id is not None and agent.db is not None:
            known = await (await agent.db.store()).get(self.run_id)
        if known is None:
            await service.check_queue(agent, caller)

    def check(self, run: RunOutput[Any]) -> None:
        """Check that a run was accepted for this request, now or before.

        Raises:
            RequestError: it was another request with this key (422).
        """
        if self._mark is not None and (run.metadata or {}).get(FINGERPRINT) != self._mark:
            raise reused_key()

    def refused(self, error: RunConflictError) -> Exception:
        """Return what to raise where the run's id is in use."""
        return error if self.run_id is None else reused_key()


def accepted(request: Request, run: RunOutput[Any]) -> Response:
    """Return the response that a run was accepted, and is found by its id."""
    return answered(run_shown(run), 202, {"Location": location(request, PATH, run.run_id)})


def submission_of(agent: AnyAgent, caller: Caller, body: NewRun, keyed: Keyed) -> Submission:
    """Return the run that a body asks for, ready to be submitted.

    Raises:
        RequestError: the caller may not say one of these (403), or one cannot be used (400).
        InvalidInputError: one cannot be used.
    """
    if body.priority > 0 and not caller.may(Scope.admin):
        raise RequestError(
            403,
            f"A priority above 0 needs the scope {Scope.admin}.",
            code="insufficient_scope",
            param="priority",
        )
    submission = Submission.of(
        agent,
        input_of(body.input),
        background=True,
        run_id=keyed.run_id,
        session_id=body.session_id,
        user_id=caller.user_id,
        metadata=keyed.metadata,
        timeout=_least(body.timeout, agent.timeout),
        usage_limits=None if body.usage_limits is None else body.usage_limits.limits(),
        priority=body.priority,
        run_at=body.run_at,
        max_attempts=_least(body.max_attempts, agent.attempts),
        session_policy=body.session_policy,
        webhook=body.webhook,
        output_schema=_form_of(body.output_schema),
        session_state=body.session_state,
    )
    return submission.to_be_read() if body.live else submission


def _form_of(schema: Mapping[str, object] | None) -> Mapping[str, object] | None:
    """Return the form that a client asks an answer to have.

    Raises:
        RequestError: it is no JSON Schema that can be used (400).
    """
    if schema is not None:
        try:
            Form.of(schema)
        except ConfigurationError as error:  # It was no programmer who has set this up.
            raise RequestError(
                400, str(error), code="invalid_input", param="output_schema"
            ) from error
    return schema


def _least(asked: Any, allowed: Any) -> Any:
    return min((each for each in (asked, allowed) if each is not None), default=None)
