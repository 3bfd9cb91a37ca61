"""Models: one file a provider, each over the provider's official SDK."""
