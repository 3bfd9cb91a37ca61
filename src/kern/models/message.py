"""Messages, under the path that many know."""

from kern.run.message import Citations, Message

__all__ = ["Citations", "Message"]
