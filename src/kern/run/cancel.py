"""Cancelling a run by its id alone: the import path that users know."""

from kern.execution.cancellation import acancel_run, cancel_run

__all__ = ["acancel_run", "cancel_run"]
