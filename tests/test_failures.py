"""What a run has failed of is raised as the same class to everyone who learns of it."""

import copy
import pickle
from types import new_class

import pytest

from kern import Agent, InMemoryDb, errors
from kern.errors import InputCheckError, KernError, ModelError, RunFailedError
from kern.failures import failure, kind_of
from kern.testing import FunctionModel

CLASSES = [
    found
    for name in errors.__all__
    if isinstance(found := getattr(errors, name), type) and issubclass(found, KernError)
]


def failed_of(error: Exception) -> Agent:
    def answer(_: object) -> str:
        raise error

    return Agent("Failing", FunctionModel(answer), db=InMemoryDb())


@pytest.mark.parametrize("kind", CLASSES)
def test_an_error_is_raised_again_as_what_it_was(kind: type[KernError]) -> None:
    error = failure(kind_of(kind("It broke.")), "It broke.")
    assert (type(error), str(error)) == (kind, "It broke.")


@pytest.mark.parametrize("kind", CLASSES)
def test_an_error_can_be_copied_and_sent_to_another_process(kind: type[KernError]) -> None:
    error = kind("It broke.")
    for other in (copy.copy(error), pickle.loads(pickle.dumps(error))):
        assert (type(other), str(other), vars(other)) == (kind, "It broke.", vars(error))


def test_what_a_user_has_derived_is_raised_as_what_it_derives_from() -> None:
    for kind in (ModelError, InputCheckError):
        own = new_class("OwnError", (kind,))
        assert type(failure(kind_of(own("No.")), "No.")) is kind
    own = new_class("OwnError", (KernError,))
    assert kind_of(own("No.")) == "OwnError"
    assert type(failure("OwnError", "No.")) is RunFailedError


@pytest.mark.parametrize("kind", [errors.InvalidInputError, errors.MissingExtraError])
async def test_every_way_to_learn_of_a_failure_raises_the_same(kind: type[KernError]) -> None:
    agent = failed_of(kind("It broke."))

    async def streamed(*, background: bool = False) -> None:
        async for _ in agent.arun("Hello", stream=True, background=background):
            pass

    with pytest.raises(kind):
        await agent.arun("Hello", run_id="first")
    with pytest.raises(kind):
        await agent.arun("Hello", run_id="first")  # It is the same run, which had failed before.
    with pytest.raises(kind):
        await streamed()
    with pytest.raises(kind) as raised:
        await streamed(background=True)
    assert raised.value.run_output.error_kind == kind.__name__
