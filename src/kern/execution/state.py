"""The state of a session within an attempt: loaded once, copied for each call, merged in order.

What a step changes is written with that step. So a call that is repeated after a crash begins with
the state as it was before it, and one whose result is committed has committed its changes, too.
"""

from collections.abc import Mapping
from dataclasses import replace

from kern.aio.retry import until_available
from kern.db.base import Store
from kern.db.states import StoredState
from kern.errors import InvalidInputError
from kern.run.state import (
    StatePatch,
    StateRules,
    Texts,
    difference,
    kept,
    merged,
    patched,
    texts_of,
    values_of,
    with_given,
    without_current,
)
from kern.run.turn import Turn

_NOTHING = StoredState({}, frozenset(), 0)


class CallState:
    """The state of a session as one tool call has it.

    Attributes:
        value: the call's own copy, which it may change.
        before: what it began with.
    """

    def __init__(self, before: Texts, current: Mapping[str, object]) -> None:
        """Begin with a copy of a state, and with the keys of :data:`CURRENT`."""
        self.before = before
        self.value: dict[str, object] = {**values_of(before), **current}


class SessionState:
    """The state of a session, as the attempt at a run knows it.

    Attributes:
        value: what functions outside of tool calls share and may change, with the keys of
            :data:`CURRENT`.
        begun: what the run has changed by beginning, which is still to be written; None for
            nothing.

    Example:
        >>> from kern.run.message import Message
        >>> state = SessionState({"visits": "1"}, {})
        >>> call = state.copy()
        >>> call.value["visits"] += 1
        >>> state.close(0, call, call.value)
        >>> state.merge(Turn(1, Message("assistant"), 0), 0)
        StatePatch(set={'visits': 2}, delete=(), begin={})
        >>> state.value
        {'visits': 2}
    """

    def __init__(
        self, texts: Texts, current: Mapping[str, object], begun: StatePatch | None = None
    ) -> None:
        """Begin with a state, and with the keys of :data:`CURRENT`."""
        self.begun = begun
        self._current = current
        self._texts = self._base = texts
        self._turn = 0
        self._closed: dict[int, tuple[Texts, Texts]] = {}
        self._ended: dict[int, tuple[Texts, Texts]] = {}
        self.value: dict[str, object] = {**values_of(texts), **current}

    @property
    def stored(self) -> dict[str, object]:
        """A copy of what is stored of it, or is about to be."""
        return values_of(self._texts)

    def copy(self) -> CallState:
        """Return the copy of a tool call."""
        return CallState(self._texts, self._current)

    def close(self, place: int, call: CallState, after: object) -> None:
        """Take what a tool call has made of its copy.

        Args:
            place: the call's place in the model's answer.
            call: the copy.
            after: what it is now, or what was put in its place.

        Raises:
            InvalidInputError: it is not JSON; the error names the key.
        """
        self._closed[place] = call.before, self._read(after)

    def merge(self, turn: Turn, place: int) -> StatePatch | None:
        """Have the state go on with what a tool call has changed, and return what is new with it.

        The calls of a turn are merged in their order, whichever ends first.

        Args:
            turn: the model's answer with the call, and with the calls that have ended.
            place: the call's place in it.
        """
        if (closed := self._closed.pop(place, None)) is None:
            return None
        if self._turn != turn.number:
            self._turn, self._base, self._ended = turn.number, self._texts, {}
        self._ended[place] = closed
        after = merged(self._base, [self._ended[each] for each in sorted(self._ended)])
        # Of the calls that have ended in earlier attempts it is only known what they changed.
        later = {
            key
            for ended, patch in turn.patches.items()
            if ended > place and ended not in self._ended
            for key in (*patch.set, *patch.delete)
        }
        return self._go_on(kept(self._base, after, later) if later else after)

    def changed(self, after: object) -> StatePatch | None:
        """Return what a function outside of tool calls has changed; None for nothing.

        Args:
            after: :attr:`value`, or what was put in its place.

        Raises:
            InvalidInputError: it is not JSON; the error names the key, and the state is as before.
        """
        try:
            texts = self._read(after)
        except InvalidInputError:
            self.reset()
            raise
        if isinstance(after, dict):
            self.value = after
        self._turn = 0
        return self._go_on(texts)

    def reset(self) -> None:
        """Have :attr:`value` be as before a function outside of tool calls has changed it."""
        self.value = {**values_of(self._texts), **self._current}

    def _go_on(self, after: Texts) -> StatePatch | None:
        patch = difference(self._texts, after)
        if patch is not None:
            self._texts = after
            for key in patch.delete:
                self.value.pop(key, None)
            self.value.update(values_of({key: after[key] for key in patch.set}))
        return patch

    def _read(self, after: object) -> Texts:
        if after is None:
            return {}
        if not isinstance(after, Mapping):
            raise InvalidInputError(f"session_state must be a dict, not {type(after).__name__}.")
        return texts_of(without_current(after))


async def load(
    store: Store | None,
    session_id: str,
    rules: StateRules | None,
    given: object,
    changes: StatePatch | None,
    current: Mapping[str, object],
) -> SessionState:
    """Return the state of a run's session, as the run goes on with it.

    It is what new sessions of the agent begin with, under what is stored, under what the run is
    given. What earlier attempts have changed is over all of it.

    Args:
        store: where the session is; None where nothing of it is stored.
        session_id: the session.
        rules: what the agent says of states.
        given: the state that the run is given; None for none.
        changes: what the run's steps have changed; None for nothing.
        current: the keys of :data:`CURRENT`.

    Raises:
        InvalidInputError: the given state is not JSON.
    """
    rules, stored = rules or StateRules(), _NOTHING
    if store is not None:
        stored = await until_available(lambda: store.states.of(session_id))
    if changes is None:
        return _begun(rules, stored, given, current)
    begin = {key: value for key, value in changes.begin.items() if key not in stored.deleted}
    state = patched(values_of(stored.texts), replace(changes, begin=begin))
    return SessionState(texts_of(state), current)


def _begun(
    rules: StateRules, stored: StoredState, given: object, current: Mapping[str, object]
) -> SessionState:
    """Return the state with which a run begins, and what it has to write of it."""
    if given is not None and not isinstance(given, Mapping):
        raise InvalidInputError(f"session_state must be a dict, not {type(given).__name__}.")
    own = without_current(given or {})
    if rules.overwrite:
        texts = with_given(rules.begin, own)
        return SessionState(texts, current, difference(stored.texts, texts))
    begin = {
        key: text
        for key, text in rules.begin.items()
        if key not in stored.texts and key not in stored.deleted
    }
    known = begin | stored.texts
    # The agent's own keys in their order, which is that of people.
    before = {key: known[key] for key in (*rules.begin, *stored.texts) if key in known}
    texts = with_given(before, own)
    patch = difference(before, texts)
    if begin:
        patch = replace(patch or StatePatch(), begin=values_of(begin))
    return SessionState(texts, current, patch)
