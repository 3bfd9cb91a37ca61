"""Agents: their definition, and what can be done with them."""

from kern.agent.agent import Agent

__all__ = ["Agent"]
