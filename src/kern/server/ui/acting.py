"""What is done with a run on its page: cancel, retry, fork, regenerate, answer."""

from fastapi import Response

from kern.run.base import RunStatus
from kern.run.requirement import RunRequirement
from kern.server.caller import Scope
from kern.server.problems import RequestError
from kern.server.runs import actions
from kern.server.runs.approvals import resolve
from kern.server.runs.given import Continuation, Decision, Fork, Regeneration
from kern.server.runs.shown import output_of
from kern.server.ui.answering import answer_in
from kern.server.ui.forms import Acting, done
from kern.server.ui.route import pages_router
from kern.server.ui.run import number_of

router = pages_router()


@router.post("/runs/{run_id}/cancel")
async def cancel_run(run_id: str, actor: Acting) -> Response:
    """Stop a run."""
    record = await actions.cancel(actor.reach, run_id)
    if record.status is RunStatus.cancelled:
        return done(actor, "The run is cancelled.")
    return done(actor, "The run is being cancelled: its process has not answered yet.")


@router.post("/runs/{run_id}/retry")
async def retry_run(run_id: str, actor: Acting) -> Response:
    """Have a run go on that has failed."""
    await actions.retry(actor.reach, run_id)
    return done(actor, "The run goes on after its last step, as soon as a worker has room for it.")


@router.post("/runs/{run_id}/fork")
async def fork_run(run_id: str, actor: Acting) -> Response:
    """Begin a new run with what another has said, or with its steps up to one of them."""
    given = Fork(
        input=actor.text("input") or None, from_seq=number_of("from_seq", actor.text("from_seq"))
    )
    run = await actions.begin(
        actor.request, actor.reach, run_id, given.model_dump(mode="json"), actions.as_fork(given)
    )
    text = f"This run was forked from {run_id}, which stays as it is."
    return done(actor, text, path=actor.url("runs", run.run_id))


@router.post("/runs/{run_id}/regenerate")
async def regenerate_run(run_id: str, actor: Acting) -> Response:
    """Begin a new run that answers once more what another was asked."""
    given = Regeneration(
        additional_instructions=actor.text("instructions") or None,
        replace_original=bool(actor.text("replace")),
    )
    run = await actions.begin(
        actor.request,
        actor.reach,
        run_id,
        given.model_dump(mode="json"),
        actions.as_regeneration(given),
    )
    text = f"This run answers once more what {run_id} was asked."
    return done(actor, text, path=actor.url("runs", run.run_id))


@router.post("/runs/{run_id}/answer")
async def answer_run(run_id: str, actor: Acting) -> Response:
    """Answer one of the things that a run waits for; with an approval, that is decided."""
    wanted = actor.text("requirement")
    agent, record = await actor.reach.run(run_id, actor.reach.reads)
    is_paused = record.status is RunStatus.paused
    waiting = {each.id: each for each in output_of(record).requirements} if is_paused else {}
    requirement = waiting.get(wanted)
    if requirement is None:
        # It decides nothing, and is refused with who was first.
        late = RunRequirement(wanted, "confirmation")
        await agent.acontinue_run(
            record.run_id,
            stream=False,
            requirements=[late],
            background=True,
            user_id=actor.reach.reads,
        )
        raise RequestError(409, "The run does not wait for this.", code="wrong_status")
    answer = answer_in(actor, requirement)
    if requirement.approval_id is not None:
        status = "rejected" if answer.confirmed is False else "approved"
        decision = Decision(status=status, **answer.model_dump(exclude={"id", "confirmed"}))
        actions.check_may(actor.caller, Scope.approve)
        await resolve(actor.reach, requirement.approval_id, decision)
    else:
        await actions.proceed(actor.reach, run_id, Continuation(requirements=[answer]))
    return done(actor, "Your answer is stored.")
