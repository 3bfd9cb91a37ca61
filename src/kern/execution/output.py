"""The output of a run, as the caller is given it who waits for it in this process."""

from collections import defaultdict

from kern.execution.attempt import Attempt
from kern.models.base import Model
from kern.run.agent import RunOutput
from kern.run.metrics import Metrics, ModelMetrics
from kern.run.steps import FOLLOWUPS, OUTPUT_MODEL, PARSER_MODEL, SESSION_SUMMARY, SecondaryAnswered

_TYPES = {FOLLOWUPS: "followup_model", SESSION_SUMMARY: "session_summary_model"}


def handed_out(attempt: Attempt) -> RunOutput:
    """Return the output of an attempt that has come to its end, with what is in memory only.

    That are its media; the messages that the model was told before its own; and what each of its
    answers has used.

    Args:
        attempt: the attempt.
    """
    output, state = attempt.output, attempt.state
    output.media = attempt.loaded or None
    used = output.metrics if output.own_metrics is None else output.own_metrics
    if used is not state.metrics:  # Others have carried it on.
        return output
    for turn in state.turns:
        if turn.answered is not None:
            turn.message.metrics = turn.answered.metrics
    if attempt.context:
        own = output.messages[len(attempt.stored_history) :]
        output.messages = [*attempt.context, *own]
    return output


def details_of(attempt: Attempt) -> dict[str, list[ModelMetrics]]:
    """Return what each of a run's models has used, by what it was asked for."""
    used: defaultdict[str, dict[tuple[str | None, str | None], Metrics]] = defaultdict(dict)
    own = attempt.spec.model
    for turn in attempt.state.turns:
        if (answered := turn.answered) is not None:
            provider, model = answered.fallback or (own.provider, own.id)
            used["model"].setdefault((model, provider), Metrics()).add(answered.metrics)
    for step in attempt.state.secondary:
        if isinstance(step, SecondaryAnswered):
            asked = _secondary_model(attempt, step.name)
            whose = (step.model, None) if asked is None else (asked.id, asked.provider)
            kind = _TYPES.get(step.name, step.name)
            used[kind].setdefault(whose, Metrics()).add(step.metrics)
    for child in attempt.state.children:
        for kind, models in (child.details or {}).items():
            for each in models:
                used[kind].setdefault((each.id, each.provider), Metrics()).add(each.as_metrics())
    return {
        kind: [metrics.of_model(*whose) for whose, metrics in models.items()]
        for kind, models in used.items()
    }


def _secondary_model(attempt: Attempt, name: str) -> Model | None:
    answering, rules = attempt.answering, attempt.spec.session_rules
    if name == SESSION_SUMMARY and rules is not None and rules.summarizing is not None:
        return rules.summarizing.model or attempt.spec.model
    if answering is None:
        return None
    secondary = {OUTPUT_MODEL: answering.output, PARSER_MODEL: answering.parser}.get(name)
    if secondary is not None:
        return secondary.model
    suggests = answering.followups if name == FOLLOWUPS else None
    return None if suggests is None else suggests.model or attempt.spec.model
