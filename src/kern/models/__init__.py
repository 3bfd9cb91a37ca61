"""Models: the port is in ``base``; a directory a provider, over the provider's official SDK."""
