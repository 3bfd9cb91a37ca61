"""The synchronous twins of an agent's methods, written by ``scripts/generate_sync.py``."""
