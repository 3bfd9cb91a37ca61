"""Errors under the names by which many know them; all others are in kern.errors."""

from kern.errors import (
    ContextWindowExceededError,
    ModelAuthenticationError,
    ModelError,
    ModelRateLimitError,
    RunCancelledError,
)

ModelProviderError = ModelError
"""The model's service refused, failed or answered with something unusable."""

RunCancelledException = RunCancelledError
"""A run was cancelled."""

__all__ = [
    "ContextWindowExceededError",
    "ModelAuthenticationError",
    "ModelProviderError",
    "ModelRateLimitError",
    "RunCancelledException",
]
