"""``kern serve``: agents over HTTP."""
