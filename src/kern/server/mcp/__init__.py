"""Agents as tools of a server of the Model Context Protocol, over the official SDK.

``kern mcp app:agents`` runs it over the pipes of a process or over HTTP, and ``kern serve`` has it
at ``/mcp``. What lives here translates between the protocol and what the runs API does anyway: a
call submits a run for the background and waits for it for a time. It needs the extra ``mcp``, which
is imported at the first request.
"""
