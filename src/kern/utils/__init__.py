"""Small helpers under the paths that users know."""
