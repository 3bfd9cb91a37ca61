"""``kern worker``: processes that only execute runs."""
