"""The OpenAPI document says all of the runs API, and the server does what it says."""

import asyncio
from collections.abc import Iterator
from typing import Any, NamedTuple

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012
from runs_api import Api, agents_on, ended, ok
from schemathesis.generation.modes import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance
from served import served

from kern.db.postgres import PostgresDb
from kern.local.postgres import EmbeddedPostgres
from kern.server import create_app
from kern.server.limits import Limits

# The machine that makes requests chooses at random where it should not.
pytestmark = pytest.mark.filterwarnings(
    "ignore::hypothesis.errors.HypothesisDeprecationWarning",
)

PATHS = r"^/v1/(agents|runs|sessions|approvals)"

ALWAYS = {"400", "401", "403", "429", "503"}


@pytest.fixture(scope="module")
def document(api: Api) -> dict[str, Any]:
    """The document, as a client gets it."""
    return ok(httpx.get(f"{api.url}/openapi.json"))


def operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the operations of the runs API."""
    for path, methods in document["paths"].items():
        if path.startswith(("/v1/agents", "/v1/runs", "/v1/sessions", "/v1/approvals")):
            for method, operation in methods.items():
                yield f"{method.upper()} {path}", operation


def test_the_document_says_what_every_operation_needs_and_answers(
    document: dict[str, Any],
) -> None:
    assert document["openapi"].startswith("3.1.")
    names = [operation["operationId"] for _, operation in operations(document)]
    assert len(names) == len({*names}) >= 20
    [(scheme, described)] = document["components"]["securitySchemes"].items()
    assert (described["type"], described["scheme"]) == ("http", "bearer")
    for name, operation in operations(document):
        assert operation["summary"], name
        assert operation["description"], name
        assert operation["security"] == [{scheme: []}], name
        answers = operation["responses"]
        assert answers.keys() >= ALWAYS, name
        assert ("{" in name) <= ("404" in answers), name
        for status, answer in answers.items():
            assert answer["description"], (name, status)
            if status >= "400":
                assert [*answer["content"]] == ["application/problem+json"], (name, status)
        if "requestBody" in operation:
            assert operation["requestBody"]["required"], name


def test_the_examples_are_what_their_schemas_say(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    root = Resource.from_contents(document, default_specification=DRAFT202012)
    registry: Registry[Any] = Registry().with_resource("urn:document", root)
    with_examples = {name: each for name, each in schemas.items() if "examples" in each}
    assert with_examples.keys() >= {
        "NewRun",
        "ShownRun",
        "Continuation",
        "Decision",
        "ShownSession",
    }
    for name, schema in with_examples.items():
        for example in schema["examples"]:
            reference = {"$ref": f"urn:document#/components/schemas/{name}"}
            Draft202012Validator(reference, registry=registry).validate(example)


class Described(NamedTuple):
    """The operations, as a machine makes requests of them, and with which headers."""

    schema: schemathesis.BaseSchema
    headers: dict[str, str]


@pytest.fixture(scope="module")
def described(postgres: EmbeddedPostgres) -> Iterator[Described]:
    """The operations of a server that knows callers by their keys, and a key."""

    def db() -> PostgresDb:
        return PostgresDb(f"{postgres.url}?sslmode=disable", session_table="described")

    async def key() -> str:
        async with db() as opened:
            agents = ("echo", "typed", "fragile")
            _, secret = await opened.acreate_key("ada", scopes=("runs", "approve"), agents=agents)
            return secret

    headers = {"Authorization": f"Bearer {asyncio.run(key())}"}
    app = create_app(agents_on(db(), {}), auth="keys", limits=Limits(rate=None))
    with served(app) as url:
        with httpx.Client(base_url=url, headers=headers) as client:
            ended(client, session_id="session")
        found = schemathesis.openapi.from_url(f"{url}/openapi.json")
        yield Described(found.include(path_regex=PATHS), headers)


def fuzz(described: Described, examples: int) -> None:
    """Send every operation requests that fit its schema, and others, and look at the answers."""
    for result in described.schema.get_all_operations():
        operation = result.ok()  # type: ignore[union-attr] # Another one fails here.
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):

            @given(case=operation.as_strategy(generation_mode=mode))
            @settings(
                max_examples=examples,
                deadline=None,
                derandomize=True,
                database=None,
                suppress_health_check=[*HealthCheck],
            )
            def send(case: schemathesis.Case[Any]) -> None:
                # What fits the schema may still be refused: an empty text, say.
                case.call_and_validate(
                    headers=described.headers,
                    excluded_checks=[positive_data_acceptance],
                    timeout=20,
                )

            send()


def walk(described: Described, walks: int, steps: int) -> None:
    """Go from what one operation answers to what others ask for, and look at the answers."""

    class Walk(described.schema.as_state_machine()):  # type: ignore[misc] # It is made here.
        def get_call_kwargs(self, case: schemathesis.Case[Any]) -> dict[str, Any]:
            return {"headers": described.headers, "timeout": 20}

        def validate_response(self, response: Any, case: schemathesis.Case[Any], **_: Any) -> None:
            case.validate_response(response, excluded_checks=[positive_data_acceptance])

    Walk.run(
        settings=settings(
            max_examples=walks,
            stateful_step_count=steps,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=[*HealthCheck],
        )
    )


def test_requests_made_of_the_document_are_answered_as_it_says(
    described: Described,
) -> None:
    fuzz(described, 1)


def test_walks_from_answer_to_request_are_answered_as_it_says(
    described: Described,
) -> None:
    walk(described, 5, 4)


@pytest.mark.nightly
@pytest.mark.timeout(1800)
def test_many_requests_and_walks_are_answered_as_it_says(
    described: Described,
) -> None:
    fuzz(described, 60)
    walk(described, 100, 10)
