"""The runs API: agents, runs, approvals and sessions over HTTP, as kern itself has them.

What lives here turns requests into calls of agents and databases, and what these return into JSON.
Each module of routes has a ``router``; errors are problem details.
"""
