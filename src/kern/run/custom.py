"""Events of users' own classes, as the journal holds them and as readers get them."""

from collections.abc import Iterator, Mapping
from dataclasses import MISSING, fields
from typing import Any, Protocol

import msgspec

from kern.run.codec import to_json_value
from kern.run.event import CustomEvent, RunEvent

_OWN = frozenset(each.name for each in fields(CustomEvent)) - {"content"}


class OfRun(Protocol):
    """What a run and its events both say."""

    run_id: str
    session_id: str
    agent_id: str
    agent_name: str | None
    parent_run_id: str | None

    @property
    def team_id(self) -> str | None:
        """The team whose run it is."""


def event_kind(event: CustomEvent) -> str:
    """Return what names the class of an event."""
    return _kind(type(event))


def event_values(event: CustomEvent) -> dict[str, object]:
    """Return what an event holds beside what every event does, as JSON values.

    Raises:
        TypeError: something has no JSON form.
    """
    held = {each.name: getattr(event, each.name) for each in fields(event)}
    told = {name: value for name, value in held.items() if name not in _OWN}
    values: dict[str, object] = msgspec.to_builtins(told, enc_hook=to_json_value, str_keys=True)
    return values


def custom_event(more: Mapping[str, object], run: "OfRun", seq: int, at: float) -> CustomEvent:
    """Return an event for readers: of its own class, where this process has that.

    Args:
        more: the ``kind``, the ``values`` and the ``tool_call_id`` that were kept.
        run: the run, or another event of it.
        seq: the number of the event in the run.
        at: when it happened, in seconds since 1970.
    """
    kind, values = more["kind"], more["values"]
    assert isinstance(values, dict)
    classes = (each for each in _classes(CustomEvent) if _kind(each) == kind)
    found: type[CustomEvent] = next(classes, CustomEvent)
    event = object.__new__(found)
    for each in fields(found):
        if each.default is not MISSING:
            setattr(event, each.name, each.default)
        elif each.default_factory is not MISSING:
            setattr(event, each.name, each.default_factory())
    known: dict[str, Any] = {
        **values,
        "event": RunEvent.custom_event,
        "run_id": run.run_id,
        "session_id": run.session_id,
        "agent_id": run.agent_id,
        "agent_name": run.agent_name,
        "parent_run_id": run.parent_run_id,
        "team_id": run.team_id,
        "seq": seq,
        "created_at": at,
        "tool_call_id": more["tool_call_id"],
    }
    for name, value in known.items():
        setattr(event, name, value)
    return event


def _kind(cls: type[CustomEvent]) -> str:
    return f"{cls.__module__}:{cls.__qualname__}"


def _classes(cls: type[CustomEvent]) -> Iterator[type[CustomEvent]]:
    for each in cls.__subclasses__():
        yield each
        yield from _classes(each)
