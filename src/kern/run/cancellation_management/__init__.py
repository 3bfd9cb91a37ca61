"""Cancellation managers: what a program may put beside kern's own cancels."""

from kern.run.cancellation_management.base import BaseRunCancellationManager

__all__ = ["BaseRunCancellationManager"]
