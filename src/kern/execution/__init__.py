"""One attempt at a run: the loop from its claim to its end, its journal, tool calls and limits.

What decides which run begins, where and when is the business of :mod:`kern.dispatch`.
"""
