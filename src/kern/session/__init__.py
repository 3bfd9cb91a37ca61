"""Sessions as users see them: values, without a database; ``kern.db`` keeps them."""

from kern.session.agent import AgentSession
from kern.session.summary import SessionSummary, SessionSummaryManager

__all__ = ["AgentSession", "SessionSummary", "SessionSummaryManager"]
