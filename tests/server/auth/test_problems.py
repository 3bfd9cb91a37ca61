"""What goes wrong is told in the form of its path, and says nothing of the inside."""

import logging
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from probes import asking, probed

from kern.errors import (
    BudgetExceededError,
    ConfigurationError,
    DatabaseError,
    DatabaseUnavailableError,
    InvalidInputError,
    KernError,
    MissingKeyError,
    ModelError,
    OutcomeUnknownError,
    QueueFullError,
    RunConflictError,
    RunFailedError,
    RunNotFoundError,
    RunStateError,
    SessionBusyError,
    SessionNotFoundError,
)
from kern.server.problems import RequestError, problem_of


def openai(response: httpx.Response) -> dict[str, object]:
    """Return an error in OpenAI's form."""
    assert response.headers["content-type"] == "application/json"
    body = response.json()
    assert list(body) == ["error"]
    assert set(body["error"]) == {"message", "type", "param", "code"}
    error: dict[str, object] = body["error"]
    return error


def problem(response: httpx.Response) -> dict[str, object]:
    """Return an error as problem details."""
    assert response.headers["content-type"] == "application/problem+json"
    body: dict[str, object] = response.json()
    assert body["status"] == response.status_code
    assert body["type"] == "about:blank"
    return body


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (InvalidInputError("No."), 400, "invalid_input"),
        (RunNotFoundError("No."), 404, "run_not_found"),
        (SessionNotFoundError("No."), 404, "session_not_found"),
        (RunConflictError("No."), 409, "run_conflict"),
        (RunStateError("No."), 409, "wrong_status"),
        (SessionBusyError("No."), 409, "session_busy"),
        (QueueFullError("No."), 429, "queue_full"),
        (BudgetExceededError("No."), 429, "insufficient_quota"),
        (ModelError("No.", kind="rate_limit"), 429, "rate_limit_exceeded"),
        (ModelError("No.", kind="context_length"), 400, "context_length_exceeded"),
        (ModelError("No.", kind="server"), 502, "model_error"),
        (DatabaseUnavailableError("No."), 503, "unavailable"),
        (OutcomeUnknownError("No."), 503, "outcome_unknown"),
        (DatabaseError("No."), 500, "internal_error"),
        (ConfigurationError("No."), 500, "internal_error"),
        (RunFailedError("No."), 500, "internal_error"),
    ],
)
def test_an_error_has_the_status_of_its_nearest_class(
    error: KernError, status: int, code: str
) -> None:
    refused = problem_of(error)
    assert (refused.status, refused.code) == (status, code)


@pytest.mark.parametrize(
    "error",
    [
        DatabaseUnavailableError("postgres://ada:hunter2@10.0.0.3 is away", address="10.0.0.3"),
        OutcomeUnknownError("10.0.0.3 did not answer"),
        MissingKeyError("sk-123 is not taken by 10.0.0.3"),
        DatabaseError("relation 10.0.0.3 does not exist"),
        QueueFullError("Raise max_queued_runs of 10.0.0.3"),
    ],
)
def test_what_is_about_the_inside_is_not_told(error: KernError) -> None:
    told = problem_of(error)
    assert not {"10.0.0.3", "hunter2", "sk-123"} & {*str(told.as_problem()).split()}
    assert "10.0.0.3" not in str(told.as_openai())


def test_a_client_is_told_when_to_try_again() -> None:
    tomorrow = datetime.now(UTC) + timedelta(hours=1)
    budget = problem_of(BudgetExceededError("No.", resets_at=tomorrow)).headers
    assert 3590 < int(budget["Retry-After"]) <= 3600
    assert budget["x-should-retry"] == "false"
    model = problem_of(ModelError("No.", kind="rate_limit", retry_after=2.2)).headers
    assert model == {"Retry-After": "3"}
    assert problem_of(DatabaseUnavailableError("No.")).headers == {"Retry-After": "1"}
    assert problem_of(RunStateError("No.")).headers == {}


async def test_the_path_says_in_which_form_an_error_is_told() -> None:
    error = RequestError(
        409, "It has ended.", code="wrong_status", param="run_id", headers={"Retry-After": "7"}
    )
    async with asking(probed(error=error)) as client:
        response = await client.get("/v1/probe/fails")
        assert response.status_code == 409
        assert response.headers["retry-after"] == "7"
        assert problem(response) == {
            "type": "about:blank",
            "title": "Conflict",
            "status": 409,
            "detail": "It has ended.",
            "code": "wrong_status",
            "param": "run_id",
        }
        response = await client.get("/v1/chat/probe/fails")
        assert response.status_code == 409
        assert response.headers["retry-after"] == "7"
        assert openai(response) == {
            "message": "It has ended.",
            "type": "invalid_request_error",
            "param": "run_id",
            "code": "wrong_status",
        }


async def test_what_the_framework_refuses_has_the_same_forms() -> None:
    async with asking(probed()) as client:
        nowhere = problem(await client.get("/v1/nowhere"))
        assert nowhere["code"] == "not_found"
        assert nowhere["detail"] == "There is no route GET /v1/nowhere."
        assert openai(await client.get("/v1/chat/nowhere"))["code"] == "not_found"
        assert problem(await client.get("/v1/chatter"))["status"] == 404
        method = await client.put("/v1/probe/who")
        assert problem(method)["code"] == "method_not_allowed"
        assert method.headers["allow"] == "GET"
        wrong = problem(await client.get("/v1/probe/number/x"))
        assert (wrong["status"], wrong["code"], wrong["param"]) == (
            400,
            "invalid_request",
            "number",
        )
        assert openai(await client.get("/v1/chat/probe/number/x"))["param"] == "number"


async def test_a_body_that_cannot_be_read_is_refused() -> None:
    async with asking(probed(), {"Content-Type": "application/json"}) as client:
        for body in (b"{", b"\xff", b"[" * 100_000, b"", b"null", b'{"a":"secret!"}'):
            response = await client.post("/v1/probe/body", content=body)
            assert problem(response)["status"] == 400, body[:10]
            assert "secret!" not in response.text


@pytest.mark.parametrize("error", [ZeroDivisionError("of 10.0.0.3"), DatabaseError("of 10.0.0.3")])
async def test_what_nobody_expects_is_a_500_that_says_nothing_and_is_logged_once(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    async with asking(probed(error=error)) as client:
        for path in ("/v1/probe", "/v1/chat/probe"):
            caplog.clear()
            response = await client.get(f"{path}/fails?api_key=kern_sk_secret")
            assert response.status_code == 500
            assert "10.0.0.3" not in response.text
            assert response.headers["x-content-type-options"] == "nosniff"
            assert (await client.get("/v1/probe/who")).status_code == 200
            logged = [each for each in caplog.records if each.levelno >= logging.ERROR]
            assert [each.getMessage() for each in logged] == [f"GET '{path}/fails' has failed."]
            assert logged[0].exc_info is not None
            assert "kern_sk_secret" not in caplog.text


async def test_a_response_that_breaks_is_not_complete(caplog: pytest.LogCaptureFixture) -> None:
    async with asking(probed(error=ZeroDivisionError())) as client:
        with pytest.raises(httpx.RemoteProtocolError):
            await client.get("/v1/probe/breaks")
        assert (await client.get("/v1/probe/who")).status_code == 200
    assert len([each for each in caplog.records if each.levelno >= logging.ERROR]) == 1
