"""kern runs AI agents in the background and never loses one."""

__version__ = "0.1.0"
