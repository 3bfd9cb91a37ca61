"""What embeddings have used within a run, as steps of it."""

from collections.abc import Iterator, Sequence

from kern.run.beside_steps import TextsEmbedded
from kern.run.metrics import Metrics, ModelMetrics


def embedded(used: Sequence[ModelMetrics]) -> Iterator[TextsEmbedded]:
    """Yield a step for each model that has embedded texts, with what all its calls have used.

    Args:
        used: what each call has used.
    """
    totals: dict[tuple[str | None, str | None], Metrics] = {}
    for each in used:
        totals.setdefault((each.id, each.provider), Metrics()).add(each.as_metrics())
    for (model, provider), metrics in totals.items():
        yield TextsEmbedded(provider, metrics=metrics, model=model)
