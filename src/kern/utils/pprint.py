"""Runs in the terminal, under the path that users know."""

from kern.agent.pprint import apprint_run_response, pprint_run_response

__all__ = ["apprint_run_response", "pprint_run_response"]
