"""Agents: their definition, and what can be done with them."""

from kern.agent.agent import Agent
from kern.execution.answering import FollowupConfig
from kern.models.fallback import FallbackConfig
from kern.session.agent import AgentSession

__all__ = ["Agent", "AgentSession", "FallbackConfig", "FollowupConfig"]
