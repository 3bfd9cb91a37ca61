"""A paused run of an agent without a database: its output carries what it goes on from."""

import msgspec

from kern.run.record import JournalRow


class KeptRun(msgspec.Struct, frozen=True):
    """What a run goes on from.

    Attributes:
        input: what it was given, as JSON text.
        journal: its steps.
        timeout: its time limit in seconds, or None.
        usage_limits: how much it may use beside what its agent allows, as JSON text, or None.
        media: what the blobs in its messages stand for, by their hash.
    """

    input: str
    journal: list[JournalRow]
    timeout: float | None = None
    usage_limits: str | None = None
    media: dict[str, bytes] = {}
