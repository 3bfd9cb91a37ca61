"""What the parts have in common."""


class Part:
    """Some keywords of an agent."""

    def _build(self) -> None:
        """Check the keywords, and set what they say together.

        Raises:
            ConfigurationError: one of them cannot be used.
        """
