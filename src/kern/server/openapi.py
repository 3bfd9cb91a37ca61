"""What ``/openapi.json`` says, where that is not what the framework makes of the routes."""

from typing import Any

from fastapi import FastAPI

from kern.server.runs.documented import Problem

_UNTRUE = "HTTPValidationError"  # What does not fit is answered 400, as a problem.

_DESCRIPTION = (
    "Durable agents over HTTP: OpenAI's Responses API with agents as models, and the runs API. "
    "Errors of the runs API are problem details (RFC 9457); those below `/v1/responses`, "
    "`/v1/conversations`, `/v1/models` and `/v1/chat` have OpenAI's form."
)

_TAGS = {
    "agents": "What can be run.",
    "runs": "Runs, from their submit to their end.",
    "approvals": "What people have to decide.",
    "sessions": "Conversations, with their runs and state.",
}


def add_document(app: FastAPI) -> None:
    """Have an application describe itself as it is.

    Args:
        app: the application, with all its routes.
    """
    app.description = _DESCRIPTION
    app.openapi_tags = [{"name": name, "description": text} for name, text in _TAGS.items()]
    generated = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            _correct(generated())
        assert app.openapi_schema is not None, "it was generated"
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign] # So the framework has it done.


def _correct(document: dict[str, Any]) -> None:
    for methods in document["paths"].values():
        for operation in methods.values():
            answers = operation["responses"]
            if _UNTRUE in str(answers.get("422")):
                del answers["422"]
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    for name in (_UNTRUE, "ValidationError"):
        schemas.pop(name, None)
    schemas[Problem.__name__] = Problem.model_json_schema()
