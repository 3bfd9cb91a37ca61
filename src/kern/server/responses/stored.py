"""What is remembered of a request for a response, and the response as it was asked for."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from kern.run.agent import RunOutput
from kern.run.codec import shown
from kern.server.responses.ids import ResponseId
from kern.server.responses.object import ResponseView

KEY = "kern.response"
"""The name among a run's metadata under which this is; callers do not see it."""


class Stretch(msgspec.Struct, frozen=True, omit_defaults=True):
    """How one response of a run was asked for.

    Attributes:
        background: whether its client does not wait.
        key: the run that the ``Idempotency-Key`` of its request stands for, or None.
        body: the fingerprint of its request, where that has a key.
        created_at: when that was accepted, in seconds since 1970.
    """

    background: bool = False
    key: str | None = None
    body: str = ""
    created_at: int | None = None


class Remembered(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is remembered of the requests for the responses of a run.

    Attributes:
        stretches: how each of its responses was asked for, in order; those after pauses that were
            answered otherwise are not here.
        given: the parameters that responses tell of again, by their names.
        previous: the ``previous_response_id`` of the first one.
        conversation: the id of the conversation, as it was given.
        whole: whether it was shown its whole session.
        store: whether it is kept once it has ended.
    """

    stretches: tuple[Stretch, ...] = ()
    given: dict[str, Any] = {}
    previous: str | None = None
    conversation: str | None = None
    whole: bool = False
    store: bool = True

    @classmethod
    def of(cls, metadata: Mapping[str, Any] | None) -> "Remembered | None":
        """Return what the metadata of a run say; None where it began otherwise."""
        found = (metadata or {}).get(KEY)
        try:
            return None if found is None else msgspec.convert(found, cls)
        except msgspec.ValidationError:  # Somebody else has written it.
            return None

    def beside(self, metadata: Mapping[str, Any]) -> dict[str, Any]:
        """Return metadata of a run with this among them."""
        return {**metadata, KEY: msgspec.to_builtins(self)}


class Place(NamedTuple):
    """Where a response is: a run as far as a view needs it.

    Attributes:
        response: which one it is.
        agent_id: its agent.
        session_id: its session.
        created_at: when its run was accepted, in seconds since 1970.
        foreground: whether its run belongs to a caller who waits.
        forked_from: the run with whose messages its run began, or None.
    """

    response: ResponseId
    agent_id: str
    session_id: str = ""
    created_at: float = 0.0
    foreground: bool = True
    forked_from: str | None = None

    @classmethod
    def of(cls, run: RunOutput[Any], stretch: int, *, foreground: bool) -> "Place":
        """Return where the response of a run is."""
        response = ResponseId(run.run_id, stretch)
        return cls(
            response,
            run.agent_id,
            run.session_id,
            run.created_at,
            foreground,
            run.forked_from_run_id,
        )


def view_of(
    place: Place, metadata: Mapping[str, Any] | None, remembered: Remembered | None
) -> ResponseView:
    """Return a response as it was asked for.

    Args:
        place: where it is.
        metadata: those of its run.
        remembered: what is remembered of its request; None where its run began otherwise.
    """
    response = place.response
    previous: str | None = None
    if response.stretch:
        previous = str(ResponseId(response.run_id, response.stretch - 1))
    elif remembered is not None:
        previous = remembered.previous
    elif place.forked_from is not None:
        previous = str(ResponseId(place.forked_from))
    given = {} if remembered is None else remembered.given
    asked = Stretch(background=not place.foreground)
    if remembered is not None and response.stretch < len(remembered.stretches):
        asked = remembered.stretches[response.stretch]
    return ResponseView(
        id=str(response),
        run_id=response.run_id,
        model=place.agent_id,
        server_label=place.agent_id,
        created_at=place.created_at if asked.created_at is None else asked.created_at,
        background=asked.background,
        previous_response_id=previous,
        conversation=None if remembered is None else remembered.conversation,
        store=remembered is None or remembered.store,
        metadata={
            name: shown(value)
            for name, value in (metadata or {}).items()
            if not name.startswith("kern.")
        },
        **{**given, **_whole(given)},
    )


def _whole(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters that a response has whole where the request says only some of them."""
    whole: dict[str, Any] = {}
    if "text" in given:
        text = given["text"]
        whole["text"] = {**text, "format": text.get("format") or {"type": "text"}}
    if "reasoning" in given:
        whole["reasoning"] = {"effort": None, "summary": None, **given["reasoning"]}
    return whole
