"""The state of a session: what a step of a run has changed in it, key by key.

A state is a JSON object. What is compared, merged and stored are its top-level keys, each with its
value as JSON text: two texts are equal where nothing has changed, and two holders of a state never
share a value that one could change under the other.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias, cast

from kern.errors import InvalidInputError
from kern.run.codec import dump, encode, parse

Texts: TypeAlias = dict[str, str]
"""A state: its keys, each with its value as JSON text."""

KEY_LIMIT = 1000
"""How many bytes a key has at most, as JSON text: it is part of an index."""

CURRENT = ("current_user_id", "current_session_id", "current_run_id")
"""The keys that a state has only while its run executes; they are never stored."""

_MISSING = object()


@dataclass(frozen=True, slots=True)
class StateRules:
    """What an agent says of the states of its sessions.

    Attributes:
        begin: the state with which a new session begins.
        overwrite: whether the state that a run is given takes the place of the stored one, instead
            of being merged into it.
    """

    begin: dict[str, str] = field(default_factory=dict)
    overwrite: bool = False


@dataclass(frozen=True, slots=True)
class StatePatch:
    """What a step has changed in the state of its session.

    Attributes:
        set: the keys that it has set, with their values.
        delete: the keys that it has deleted.
        begin: the keys with which a new session begins; they are set where the session has never
            had them.

    Example:
        >>> patch = StatePatch(set={"name": "Ada"}, delete=("guest",), begin={"visits": 0})
        >>> patched({"guest": True, "visits": 3}, patch)
        {'visits': 3, 'name': 'Ada'}
    """

    set: dict[str, object] = field(default_factory=dict)
    delete: tuple[str, ...] = ()
    begin: dict[str, object] = field(default_factory=dict)

    def then(self, later: "StatePatch") -> "StatePatch":
        """Return what this patch and a later one have changed together."""
        kept = {key: value for key, value in self.set.items() if key not in later.delete}
        deleted = [key for key in self.delete if key not in later.set and key not in later.delete]
        return StatePatch(kept | later.set, (*deleted, *later.delete), later.begin | self.begin)


class KeyChange(NamedTuple):
    """What a database does with one key of a patch.

    Attributes:
        key: the key, as JSON text, which every database can hold.
        value: its value as JSON text; None where it is deleted.
        begins: whether it is set only where the session has never had it.
    """

    key: str
    value: str | None
    begins: bool


def changes_of(patch: StatePatch) -> list[KeyChange]:
    """Return what a database does with a patch, each key once."""
    deleted = dict.fromkeys(patch.delete)
    return [
        *(
            KeyChange(dump(key), _text(key, value), True)
            for key, value in patch.begin.items()
            if key not in patch.set and key not in deleted
        ),
        *(
            KeyChange(dump(key), _text(key, value), False)
            for key, value in patch.set.items()
            if key not in deleted
        ),
        *(KeyChange(dump(key), None, False) for key in deleted),
    ]


def stored_key(text: str) -> str:
    """Return the key that a :class:`KeyChange` holds as a text."""
    return cast(str, parse(text))


def without_current(state: Mapping[str, object]) -> dict[str, object]:
    """Return a state without the keys of :data:`CURRENT`."""
    return {key: value for key, value in [*state.items()] if key not in CURRENT}


def patched(state: Mapping[str, object], patch: StatePatch) -> dict[str, object]:
    """Return a state as it is after a patch."""
    begun = {key: value for key, value in patch.begin.items() if key not in state}
    changed = {**state, **begun, **patch.set}
    return {key: value for key, value in changed.items() if key not in patch.delete}


def difference(before: Texts, after: Texts) -> StatePatch | None:
    """Return what has to be set and deleted in one state to have the other; None for nothing.

    Args:
        before: the one, as :func:`texts_of` returns it.
        after: the other, likewise.

    Example:
        >>> difference({"a": "1", "b": "[1]"}, {"b": "[1,2]", "c": "null"})
        StatePatch(set={'b': [1, 2], 'c': None}, delete=('a',), begin={})
    """
    changed = {key: parse(text) for key, text in after.items() if before.get(key) != text}
    deleted = tuple(key for key in before if key not in after)
    return StatePatch(changed, deleted) if changed or deleted else None


def texts_of(state: Mapping[str, object]) -> Texts:
    """Return the keys of a state, each with its value as JSON text.

    Raises:
        InvalidInputError: it is no dict, a value has no JSON form, or a key is no text or is too
            long; the error names the key.
    """
    if not isinstance(state, Mapping):
        raise InvalidInputError(f"session_state must be a dict, not {type(state).__name__}.")
    return {_checked(key): _text(key, value) for key, value in [*state.items()]}


def values_of(texts: Texts) -> dict[str, object]:
    """Return a state that shares nothing with any other."""
    return {key: parse(text) for key, text in texts.items()}


def with_given(texts: Texts, given: Mapping[str, object]) -> Texts:
    """Return a state with what a run is given merged into it, objects key by key.

    Raises:
        InvalidInputError: what is given is not JSON; the error names the key.
    """
    state = dict(texts)
    for key, text in texts_of(given).items():
        before, value = parse(state.get(key, "null")), parse(text)
        state[key] = text if before is None else _text(key, _joined(before, value))
    return state


def _joined(before: object, given: object) -> object:
    if not isinstance(before, dict) or not isinstance(given, dict):
        return given
    return {
        **before,
        **{key: _joined(before.get(key), value) for key, value in given.items()},
    }


def merged(base: Texts, calls: Iterable[tuple[Texts, Texts]]) -> Texts:
    """Return a state with what several calls have changed in copies of it, in their order.

    Where two have changed the same key, objects are merged key by key, and to lists is added what
    each has added; any other value is that of the later call.

    Args:
        base: the state.
        calls: for each call the state with which it began, and the one with which it ended.

    Example:
        >>> base = texts_of({"list": [1], "name": "-"})
        >>> one = texts_of({"list": [1, 2], "name": "one"})
        >>> two = texts_of({"list": [1, 3], "name": "two"})
        >>> values_of(merged(base, [(base, one), (base, two)]))
        {'list': [1, 2, 3], 'name': 'two'}
    """
    state = dict(base)
    for before, after in calls:
        for key in {**before, **after}:
            old, new, now = before.get(key), after.get(key), state.get(key)
            if old == new:
                continue
            if new is None:
                state.pop(key, None)
            elif now in (old, None):
                state[key] = new
            else:
                start = _MISSING if old is None else parse(old)
                state[key] = _text(key, _combined(start, parse(new), parse(now)))
    return state


def kept(base: Texts, state: Texts, keys: Collection[str]) -> Texts:
    """Return a state in which some keys are as they were, but for objects and lists.

    Args:
        base: how they were.
        state: the state.
        keys: the keys, which a later call has set.
    """
    fixed = {
        key: base.get(key)
        for key in keys
        if base.get(key) != state.get(key) and not state.get(key, "").startswith(("{", "["))
    }
    changed = {**state, **fixed}
    return {key: text for key, text in changed.items() if text is not None}


def _combined(old: object, new: object, now: object) -> object:
    """Return a value that was ``old``, is ``now`` by earlier calls, and ``new`` by this one."""
    if isinstance(new, dict) and isinstance(now, dict):
        before = old if isinstance(old, dict) else {}
        result = dict(now)
        for key in {**before, **new}:
            was, becomes = before.get(key, _MISSING), new.get(key, _MISSING)
            if was == becomes:
                continue
            if becomes is _MISSING:
                result.pop(key, None)
            elif key in result and result[key] != was:
                result[key] = _combined(was, becomes, result[key])
            else:
                result[key] = becomes
        return result
    if isinstance(new, list) and isinstance(now, list):
        items = old if isinstance(old, list) else []
        if new[: len(items)] == items:
            return now + new[len(items) :]
        if now[: len(items)] == items:
            return new + now[len(items) :]
    return new


def _checked(key: object) -> str:
    if not isinstance(key, str):
        raise InvalidInputError(
            f"session_state has the key {key!r:.100}, which is no text. Use texts as its keys."
        )
    if len(key) > KEY_LIMIT // 6 and len(dump(key).encode()) > KEY_LIMIT:
        raise InvalidInputError(
            f"session_state has the key {key:.50}…, which has {len(key)} characters. Use at most "
            f"{KEY_LIMIT // 6} for any, or {KEY_LIMIT} of plain ones."
        )
    return key


def _text(key: str, value: object) -> str:
    try:
        return encode(value, f"session_state[{key!r:.100}]")
    except RuntimeError as error:  # Something changes it at this moment, after its call has ended.
        raise InvalidInputError(f"session_state[{key!r:.100}] changes while it is read.") from error
