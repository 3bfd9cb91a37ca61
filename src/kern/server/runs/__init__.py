"""The runs API."""
