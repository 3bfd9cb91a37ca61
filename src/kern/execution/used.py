"""What each of a run's models has used, by what it was asked for."""

from collections import defaultdict

from kern.compression.rules import Compacting, Shortening
from kern.execution.attempt import Attempt
from kern.execution.reasoning_rules import Thinking
from kern.models.base import Model
from kern.run.beside_steps import Beside, ResultsCompressed, TextsEmbedded, Thought
from kern.run.metrics import Metrics, ModelMetrics
from kern.run.steps import (
    FOLLOWUPS,
    MEMORY_MODEL,
    OUTPUT_MODEL,
    PARSER_MODEL,
    SESSION_SUMMARY,
    SecondaryAnswered,
)

_TYPES = {FOLLOWUPS: "followup_model", SESSION_SUMMARY: "session_summary_model"}


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
            whose: tuple[str | None, str | None] = (
                (step.model, None) if asked is None else (asked.id, asked.provider)
            )
            kind = _TYPES.get(step.name, step.name)
            used[kind].setdefault(whose, Metrics()).add(step.metrics)
    whom: tuple[str | None, str | None]
    for beside in attempt.state.beside:
        if isinstance(beside, TextsEmbedded):
            whom = beside.model, beside.provider
        elif beside.metrics.model_calls:
            asked_beside = _model_beside(attempt, beside)
            whom = asked_beside.id, asked_beside.provider
        else:
            continue
        used[beside.name].setdefault(whom, Metrics()).add(beside.metrics)
    for child in attempt.state.children:
        for kind, models in (child.details or {}).items():
            for each in models:
                used[kind].setdefault((each.id, each.provider), Metrics()).add(each.as_metrics())
    return {
        kind: [metrics.of_model(*whose) for whose, metrics in models.items()]
        for kind, models in used.items()
    }


def _model_beside(attempt: Attempt, step: Beside) -> Model:
    spec, how = attempt.spec, attempt.spec.compression
    rules: Thinking | Shortening | Compacting | None = spec.reasoning
    if not isinstance(step, Thought):
        rules = None
        if how is not None:
            rules = how.results if isinstance(step, ResultsCompressed) else how.conversation
    return spec.model if rules is None or rules.model is None else rules.model


def _secondary_model(attempt: Attempt, name: str) -> Model | None:
    answering, rules = attempt.answering, attempt.spec.session_rules
    if name == SESSION_SUMMARY and rules is not None and rules.summarizing is not None:
        return rules.summarizing.model or attempt.spec.model
    if name == MEMORY_MODEL and (remembering := attempt.spec.remembering) is not None:
        return remembering.capture.model or attempt.spec.model
    if answering is None:
        return None
    secondary = {OUTPUT_MODEL: answering.output, PARSER_MODEL: answering.parser}.get(name)
    if secondary is not None:
        return secondary.model
    suggests = answering.followups if name == FOLLOWUPS else None
    return None if suggests is None else suggests.model or attempt.spec.model
