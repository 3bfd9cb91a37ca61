"""Which models are asked where an agent's own has failed."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import TypeAlias

from kern.errors import ConfigurationError, MissingKeyError, ModelError
from kern.keywords import public, shown
from kern.models.base import Model
from kern.models.utils import get_model

Callback: TypeAlias = Callable[[str, str, ModelError], object]
"""Is called with the ids of the agent's model and of the fallback, and with the error."""

Failures: TypeAlias = Sequence[tuple[Model, ModelError]]
"""The models that have failed, in the order in which they were asked, each with its error."""


@public
@dataclass(frozen=True, slots=True)
class FallbackConfig:
    """The models that are asked where an agent's own has failed, by what it failed of.

    They are asked in order, after the repetitions of the model before: those for the kind of its
    error, then those for any error, then those that are left of what an earlier error named.

    Attributes:
        on_error: for any error of a model.
        on_rate_limit: for a model that has been asked too often (429), or whose quota is used up.
        on_context_overflow: for a conversation that is longer than the model can read.
        callback: is called before a fallback is asked. What it raises is logged.

    Raises:
        ConfigurationError: something is no model.

    Example:
        >>> config = FallbackConfig(["anthropic:claude-sonnet-5-5"], on_rate_limit=["xai:grok-5"])
        >>> [model.id for model in config.models]
        ['grok-5', 'claude-sonnet-5-5']
    """

    on_error: Sequence[Model | str] = ()
    on_rate_limit: Sequence[Model | str] = ()
    on_context_overflow: Sequence[Model | str] = ()
    callback: Callback | None = None

    def __post_init__(self) -> None:
        for each in fields(self)[:3]:
            object.__setattr__(self, each.name, _models(each.name, getattr(self, each.name)))
        if not (self.callback is None or callable(self.callback)):
            raise ConfigurationError(f"callback must be a function, not {self.callback!r:.80}.")

    @property
    def models(self) -> tuple[Model, ...]:
        """All models, each once."""
        named = (*self.on_rate_limit, *self.on_context_overflow, *self.on_error)
        return tuple({id(each): each for each in named if isinstance(each, Model)}.values())

    def next(self, primary: Model, failures: Failures) -> Model | None:
        """Return the model to ask, or None where all that could be asked have failed.

        Args:
            primary: the agent's own model.
            failures: who was asked already.
        """
        failed = {id(model) for model, _ in failures}
        named = (each for _, error in reversed(failures) for each in self._after(error))
        candidates = (primary, *named)
        return next((each for each in candidates if id(each) not in failed), None)

    def _after(self, error: ModelError) -> Iterator[Model]:
        """Yield the models that are for an error."""
        named = [*self.on_error]
        if error.kind == "rate_limit" or error.status_code == 429:
            named[:0] = self.on_rate_limit
        elif error.kind == "context_length":
            named[:0] = self.on_context_overflow
        yield from (each for each in named if isinstance(each, Model))


def fallback_config(
    models: Sequence[Model | str] | None, config: FallbackConfig | None
) -> FallbackConfig | None:
    """Return what an agent's two arguments say together, or None where it has no fallback.

    Args:
        models: its ``fallback_models``.
        config: its ``fallback_config``.

    Raises:
        ConfigurationError: both are given, or one is something else.
    """
    if config is None and not models:
        return None
    if not isinstance(config, FallbackConfig | None):
        raise ConfigurationError(
            "fallback_config must be a FallbackConfig, as in "
            f"FallbackConfig(on_error=[Claude()]), not {config!r:.80}."
        )
    if not models:
        return config
    if config is not None:
        raise ConfigurationError(
            "Give fallback_models or fallback_config: FallbackConfig(on_error=[...]) holds the "
            "first as well."
        )
    return FallbackConfig(_models("fallback_models", models))


def all_failed(failures: Failures) -> ModelError:
    """Return the error of a call to which no model had an answer.

    Args:
        failures: all models, with what each failed of; not none.
    """
    errors = [error for _, error in failures]
    if len(errors) == 1:
        return errors[0]
    told = "; ".join(f"{model.id}: {error}" for model, error in failures)
    # Another process may have the keys; it is of use only where nothing else was wrong.
    asked = [each for each in errors if not isinstance(each, MissingKeyError)]
    passing = [each.retry_after or 0.0 for each in errors if each.transient]
    last = (asked or errors)[-1]
    return (ModelError if asked else MissingKeyError)(
        f"All {len(errors)} models failed. {told}",
        last.status_code,
        kind=last.kind,
        transient=bool(passing),
        retry_after=min(passing, default=0.0) or None,
        content=errors[-1].content,
    )


def _models(name: str, models: object) -> tuple[Model, ...]:
    if isinstance(models, str | bytes) or not isinstance(models, Sequence):
        raise ConfigurationError(
            f"{name} must be a list of models, as in {name}=[Claude()], not {models!r:.80}."
        )
    wrong = next((each for each in models if not isinstance(each, Model | str)), None)
    if wrong is not None:
        raise ConfigurationError(
            f"{name} has something that is no model: {shown(wrong)}. Pass models, such as "
            'Claude(), or texts such as "anthropic:claude-sonnet-5-5".'
        )
    return tuple(map(get_model, models))
