"""What a provider's failures mean, and how long it asks to be left alone."""

import email.utils
import time

import pytest

from kern.errors import ModelErrorKind
from kern.models.failures import failure_of, refusal, retry_after


@pytest.mark.parametrize(
    ("code", "status", "kind", "transient"),
    [
        ("server_error", None, "server", True),
        ("rate_limit_exceeded", None, "rate_limit", True),
        ("rate_limit_exceeded", 429, "rate_limit", True),
        ("insufficient_quota", 429, "rate_limit", False),
        ("context_length_exceeded", 400, "context_length", False),
        ("content_filter", 400, "content_filter", False),
        ("model_not_found", 404, "not_found", False),
        ("of_the_future", None, "invalid_request", False),
        ("of_the_future", 500, "server", True),
        (None, None, "other", False),
        (7, 400, "invalid_request", False),
        (None, 401, "authentication", False),
        (None, 408, "timeout", True),
        (None, 409, "server", True),
        (None, 429, "rate_limit", True),
        (None, 502, "server", True),
        (None, 503, "overloaded", True),
        (None, 599, "server", True),
    ],
)
def test_a_failure_means_what_its_code_says_or_else_its_status(
    code: object, status: int | None, kind: ModelErrorKind, transient: bool
) -> None:
    failure = failure_of(code, status)
    assert (failure.kind, failure.transient) == (kind, transient)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "6"}, 6.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": "6", "retry-after-ms": "250"}, 0.25),
        ({"retry-after": "6", "retry-after-ms": "soon"}, 6.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "Wed, 32 Foo 2026"}, None),
        ({"retry-after": "6", "retry-after-ms": "-1"}, 6.0),
        ({"retry-after-ms": "9" * 400}, 86_400.0),
    ],
)
def test_the_headers_say_for_how_long(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers) == seconds


def test_a_date_says_for_how_long() -> None:
    moment = email.utils.formatdate(time.time() + 3000, usegmt=True)
    assert retry_after({"retry-after": moment}) == pytest.approx(3000, abs=60)


@pytest.mark.parametrize(
    ("code", "status", "remedy"),
    [
        ("invalid_api_key", 401, " Check KEY."),
        (None, 403, " Check KEY, and what it may do."),
        ("model_not_found", None, " Check the model's id and URL."),
        (None, 429, " Wait, or ask the provider for a higher limit."),
        (
            "context_length_exceeded",
            400,
            " Show it less of the history, or take a model that reads",
        ),
        (None, 413, " Show it less of the history, or give media by their URLs."),
        (None, 500, ""),
    ],
)
def test_a_refusal_says_what_to_do(code: str | None, status: int | None, remedy: str) -> None:
    failure = failure_of(code, status)
    error = refusal("m", failure, " It is so. ", status=status, key="KEY", server="URL")
    answered = "failed" if status is None else f"answered {status}"
    assert str(error).startswith(f"m {answered}: It is so.{remedy}")
    assert (error.kind, error.transient) == (failure.kind, failure.transient)
    assert error.status_code == status


def test_a_provider_that_says_whether_to_try_again_is_believed() -> None:
    for said, transient in (("true", True), ("false", False), ("maybe", True)):
        headers = {"x-should-retry": said, "retry-after": "3"}
        error = refusal("m", failure_of(None, 500), "No", status=500, headers=headers)
        assert (error.transient, error.retry_after) == (transient, 3.0)
