"""What embeddings have used, for those who count it."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from kern.run.metrics import ModelMetrics

_counted: ContextVar[list[ModelMetrics] | None] = ContextVar("embeddings", default=None)


def count(used: ModelMetrics) -> None:
    """Note what one call of an embedder has used, where somebody counts."""
    if (counted := _counted.get()) is not None:
        counted.append(used)


@contextmanager
def counting(used: list[ModelMetrics]) -> Iterator[None]:
    """Count what is used within a ``with`` statement, in the tasks and threads that it begins too.

    Args:
        used: to which what each call has used is added.

    Example:
        >>> used = []
        >>> with counting(used):
        ...     count(ModelMetrics("text-embedding-3-small", input_tokens=7))
        >>> used[0].input_tokens
        7
    """
    token = _counted.set(used)
    try:
        yield
    finally:
        _counted.reset(token)
