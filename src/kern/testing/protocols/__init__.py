"""The providers' protocols: pure functions from a reply to what that provider would send.

Each module is one :class:`~kern.testing.protocols.base.Protocol`; none knows of HTTP.
"""

from kern.testing.protocols import anthropic, chat, google, responses
from kern.testing.protocols.base import Frame, Json, Protocol

__all__ = ["Frame", "Json", "Protocol", "anthropic", "chat", "google", "responses"]
