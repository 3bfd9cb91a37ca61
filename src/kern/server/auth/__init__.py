"""How callers are known: by API keys, and by JWTs."""
