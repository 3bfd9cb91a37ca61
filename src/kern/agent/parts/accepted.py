"""Keywords that change nothing, for programs that come with them."""

from kern.agent.parts.part import Part


class AcceptedPart(Part):
    """Keywords that change nothing here, for kern has no need of them.

    Attributes:
        telemetry: kern sends nothing to anybody.
        cache_session: a session is read where it is needed, at the same cost however long it is.
        checkpoint: every step of a run is written down as it ends.
        cache_callables: a function that lists tools is called for each run.
        callable_tools_cache_key: see there.
        callable_knowledge_cache_key: the same of a function that returns a knowledge base.
    """

    telemetry: bool = True
    cache_session: bool = False
    checkpoint: str | None = None
    cache_callables: bool = True
    callable_tools_cache_key: object | None = None
    callable_knowledge_cache_key: object | None = None
