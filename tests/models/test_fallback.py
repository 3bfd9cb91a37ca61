"""Which models a configuration names for which error."""

import pickle
from typing import Any

import pytest

from kern.agent import Agent, FallbackConfig
from kern.errors import ConfigurationError, MissingKeyError, ModelError, ModelErrorKind
from kern.exceptions import (
    ContextWindowExceededError,
    ModelAuthenticationError,
    ModelProviderError,
    ModelRateLimitError,
)
from kern.models.anthropic import Claude
from kern.models.base import Model
from kern.models.fallback import all_failed
from kern.models.openai import OpenAIResponses
from kern.testing import ScriptedModel

OWN, A, B, C = (ScriptedModel([], id=each) for each in ("own", "a", "b", "c"))


def order(config: FallbackConfig, error: ModelError) -> list[str]:
    """Return who is asked where each model fails of the same error."""
    failures: list[tuple[Model, ModelError]] = [(OWN, error)]
    while (model := config.next(OWN, failures)) is not None:
        failures.append((model, error))
    return [model.id for model, _ in failures]


def test_the_kind_of_an_error_says_who_is_asked_first() -> None:
    config = FallbackConfig([A], on_rate_limit=[B], on_context_overflow=[C, A])
    assert order(config, ModelError("x", kind="server")) == ["own", "a"]
    assert order(config, ModelError("x", kind="rate_limit")) == ["own", "b", "a"]
    assert order(config, ModelError("x", 429)) == ["own", "b", "a"]
    assert order(config, ModelError("x", kind="context_length")) == ["own", "c", "a"]
    assert order(FallbackConfig(on_rate_limit=[B]), ModelError("x")) == ["own"]


def test_a_fallback_that_fails_of_something_else_does_not_end_the_list() -> None:
    config = FallbackConfig([C], on_rate_limit=[A, B])
    busy, broken = ModelError("x", kind="rate_limit"), ModelError("x", kind="server")
    assert config.next(OWN, [(OWN, busy)]) is A
    assert config.next(OWN, [(OWN, busy), (A, broken)]) is C
    assert config.next(OWN, [(OWN, busy), (A, broken), (C, broken)]) is B


def test_the_agents_own_model_is_asked_where_an_answer_kept_by_another_is_lost() -> None:
    config = FallbackConfig([A, B])
    assert config.next(OWN, [(B, ModelError("x"))]) is OWN


def test_models_are_taken_as_text() -> None:
    agent = Agent("Tester", OWN, fallback_models=["openai:gpt-5.4", "anthropic:claude-sonnet-5-5"])
    own, first, second = agent.models
    assert own is OWN
    assert isinstance(first, OpenAIResponses)
    assert isinstance(second, Claude)
    agent.fallback_models = [A]
    assert [model.id for model in agent.models] == ["own", "a"]
    agent.fallback_models = []
    assert [model.id for model in agent.models] == ["own"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"fallback_models": "openai:gpt-5.4"}, "fallback_models must be a list of models"),
        ({"fallback_models": [7]}, "fallback_models has something that is no model: 7"),
        ({"fallback_models": ["gpt"]}, "'gpt' is no model"),
        ({"fallback_config": [A]}, "fallback_config must be a FallbackConfig"),
        (
            {"fallback_models": [A], "fallback_config": FallbackConfig([B])},
            "Give fallback_models or fallback_config",
        ),
    ],
)
def test_what_is_no_fallback_is_refused(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        Agent("Tester", OWN, **arguments)


def test_a_config_that_cannot_be_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="on_rate_limit must be a list of models"):
        FallbackConfig(on_rate_limit=A)  # type: ignore[arg-type] # That is what is tested.
    with pytest.raises(ConfigurationError, match="callback must be a function, not 7"):
        FallbackConfig(callback=7)  # type: ignore[arg-type] # That is what is tested.
    with pytest.raises(TypeError, match="Did you mean 'on_error'"):
        FallbackConfig(on_errors=[A])  # type: ignore[call-arg] # That is what is tested.


def test_the_error_of_all_names_each_model_and_may_pass_if_one_does() -> None:
    passing = ModelError("Wait.", 429, kind="rate_limit", transient=True, retry_after=7.0)
    error = all_failed([(OWN, passing), (A, ModelError("Who?", 401, kind="authentication"))])
    assert str(error) == "All 2 models failed. own: Wait.; a: Who?"
    assert (error.transient, error.retry_after, error.status_code) == (True, 7.0, 401)
    assert isinstance(error, ModelAuthenticationError)


def test_another_process_is_to_try_only_where_nothing_but_keys_are_missing() -> None:
    missing = MissingKeyError("No key.")
    assert isinstance(all_failed([(OWN, missing), (A, missing)]), MissingKeyError)
    mixed = all_failed([(OWN, ModelError("Broken.", kind="server")), (A, missing)])
    assert not isinstance(mixed, ConfigurationError)
    assert mixed.kind == "server"


def test_the_kind_of_an_error_says_its_class() -> None:
    kinds: list[tuple[ModelErrorKind, type[ModelError]]] = [
        ("rate_limit", ModelRateLimitError),
        ("context_length", ContextWindowExceededError),
        ("authentication", ModelAuthenticationError),
        ("server", ModelProviderError),
    ]
    for kind, found in kinds:
        error = ModelError("x", kind=kind, retry_after=2.0)
        assert type(error) is found
        copy = pickle.loads(pickle.dumps(error))
        assert (type(copy), copy.kind, copy.retry_after) == (found, kind, 2.0)
    assert ModelRateLimitError("x", 429, "GPT", "gpt").kind == "rate_limit"
    assert ModelProviderError(message="x", status_code=500, model_id="gpt").model_id == "gpt"
