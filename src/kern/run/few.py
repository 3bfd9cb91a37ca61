"""What few runs have, as their callers see it; each is kept under its name with the others."""

from typing import Any

from kern.run.extra import Extra
from kern.run.message import Message
from kern.run.thoughts import StepsField


class Few:
    """The part of :class:`~kern.run.output.RunOutput` that few runs have."""

    __slots__ = ()

    more: dict[str, Any] | None

    team_id: Extra[str] = Extra()
    reasoning_steps: StepsField = StepsField()
    thoughts: Extra[str] = Extra()
    compaction: Extra[dict[str, object]] = Extra()
    reasoning_messages: Extra[list[Message]] = Extra()
    additional_input: Extra[list[Message]] = Extra()
    model_provider_data: Extra[dict[str, object]] = Extra()
    forked_from_run_id: Extra[str] = Extra()
    forked_from_message_index: Extra[int] = Extra()
    forked_from_session_id: Extra[str] = Extra()
    regenerated_from: Extra[str] = Extra()
    last_checkpoint_at_message_index: Extra[int] = Extra()


FEW = tuple(name for name, value in vars(Few).items() if isinstance(value, Extra))
"""Their names."""
