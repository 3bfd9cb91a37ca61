"""``kern runs``: what runs, waits and has ended."""
