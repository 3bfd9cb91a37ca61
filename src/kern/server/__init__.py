"""The HTTP service: agents as models of OpenAI's Responses API, and the runs API.

``kern serve app:agents`` runs it; :func:`create_app` is for an application of one's own,
:func:`create_mcp_app` for one that has agents as tools of MCP only. It needs
the extra ``server``. What lives here translates between HTTP and what agents and databases can do
anyway: nothing here knows how a run is executed or stored.
"""

from kern.extras import extra

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kern.server.app import create_app, create_mcp_app

__all__ = ["create_app", "create_mcp_app"]


def __getattr__(name: str) -> object:
    if name in __all__:
        with extra("server"):
            from kern.server import app
        return getattr(app, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
