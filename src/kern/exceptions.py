"""Errors under the names by which many know them; all others are in kern.errors."""

from kern.errors import (
    CheckTrigger,
    ContextWindowExceededError,
    InputCheckError,
    ModelAuthenticationError,
    ModelError,
    ModelRateLimitError,
    OutputCheckError,
    RunCancelledError,
)

ModelProviderError = ModelError
"""The model's service refused, failed or answered with something unusable."""

RunCancelledException = RunCancelledError
"""A run was cancelled."""

__all__ = [
    "CheckTrigger",
    "ContextWindowExceededError",
    "InputCheckError",
    "ModelAuthenticationError",
    "ModelProviderError",
    "ModelRateLimitError",
    "OutputCheckError",
    "RunCancelledException",
]
