"""The states of sessions: what has changed, and how changes come together."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import json_objects, json_values

from kern.errors import InvalidInputError
from kern.run.state import (
    KEY_LIMIT,
    StatePatch,
    Texts,
    changes_of,
    difference,
    kept,
    merged,
    patched,
    stored_key,
    texts_of,
    values_of,
    with_given,
)

few_keys = st.dictionaries(st.sampled_from("abcd"), json_values, max_size=4)

small = st.integers(0, 3) | st.lists(st.integers(0, 3), max_size=3)
nested = st.dictionaries(
    st.sampled_from("abc"), small | st.dictionaries(st.sampled_from("xy"), small)
)


def merge(base: dict[str, Any], *calls: dict[str, Any]) -> dict[str, object]:
    """Return what comes of calls that begin with the same state."""
    return values_of(merged(texts_of(base), [(texts_of(base), texts_of(each)) for each in calls]))


@given(before=few_keys, after=few_keys)
def test_a_state_and_the_difference_make_the_other_state(
    before: dict[str, object], after: dict[str, object]
) -> None:
    patch = difference(texts_of(before), texts_of(after))
    if patch is None:
        assert texts_of(before) == texts_of(after)
    else:
        assert texts_of(patched(before, patch)) == texts_of(after)
        untouched = before.keys() - patch.set.keys() - {*patch.delete}
        assert all(texts_of(before)[key] == texts_of(after)[key] for key in untouched)


@given(
    st.lists(st.builds(StatePatch, few_keys, st.lists(st.sampled_from("abcd")).map(tuple))),
    few_keys,
)
def test_patches_together_do_what_they_do_one_after_another(
    patches: list[StatePatch], state: dict[str, object]
) -> None:
    patches = [
        StatePatch({k: v for k, v in each.set.items() if k not in each.delete}, each.delete)
        for each in patches
    ]
    together, one_by_one = StatePatch(), state
    for each in patches:
        together, one_by_one = together.then(each), patched(one_by_one, each)
    assert texts_of(patched(state, together)) == texts_of(one_by_one)


@given(json_objects)
def test_a_state_comes_back_from_its_texts_and_shares_nothing(state: dict[str, object]) -> None:
    texts = texts_of(state)
    assert json.dumps(values_of(texts)) == json.dumps(state)
    assert texts_of(values_of(texts)) == texts
    assert difference(texts, dict(texts)) is None
    changes = changes_of(StatePatch(state))
    assert {stored_key(each.key): each.value for each in changes} == texts


def test_what_is_changed_deep_within_a_value_is_seen() -> None:
    state: dict[str, Any] = {"a": {"b": [{"c": 1}]}, "d": 1}
    before = texts_of(state)
    state["a"]["b"][0]["c"] = 2
    assert difference(before, texts_of(state)) == StatePatch({"a": {"b": [{"c": 2}]}})


@pytest.mark.parametrize(
    "value", [{1, 2}, object(), float("nan"), b"bytes", {"deep": [{"er": print}]}, 1j]
)
def test_what_is_no_json_is_refused_by_the_name_of_its_key(value: object) -> None:
    with pytest.raises(InvalidInputError, match=r"session_state\['the key'\] has no JSON form"):
        texts_of({"fine": 1, "the key": value})


def test_what_contains_itself_is_refused() -> None:
    endless: list[object] = []
    endless.append(endless)
    with pytest.raises(InvalidInputError, match="'endless'"):
        texts_of({"endless": endless})


def test_keys_are_texts_of_a_bounded_length() -> None:
    with pytest.raises(InvalidInputError, match="the key 1, which is no text"):
        texts_of({1: 1})  # type: ignore[dict-item]
    for key in ("x" * (KEY_LIMIT - 1), "\x00" * 167, "🦊" * 250):
        with pytest.raises(InvalidInputError, match=f"which has {len(key)} characters"):
            texts_of({key: 1})
    assert texts_of({"x" * (KEY_LIMIT - 2): 1, "\x00" * 166: 1, "🦊" * 249: 1})


@pytest.mark.parametrize("state", [None, [], "text", 1])
def test_a_state_is_a_dict(state: Any) -> None:
    with pytest.raises(InvalidInputError, match="session_state must be a dict, not"):
        texts_of(state)


@given(base=nested, calls=st.permutations([0, 1, 2]))
def test_calls_that_change_different_keys_lose_nothing(
    base: dict[str, Any], calls: list[int]
) -> None:
    base = {**base, "0": "-", "1": [1], "2": {"x": 1}}
    changed: list[dict[str, Any]] = [
        {**base, "0": "changed", "new 0": 0},
        {**base, "1": [1, 2]},
        {key: value for key, value in base.items() if key != "2"},
    ]
    together = merge(base, *(changed[call] for call in calls))
    assert together == {k: v for k, v in {**changed[0], "1": [1, 2]}.items() if k != "2"}


@given(base=nested, first=nested, second=nested)
def test_of_two_calls_each_has_its_say_in_the_order_of_the_calls(
    base: dict[str, Any], first: dict[str, Any], second: dict[str, Any]
) -> None:
    together = merge(base, first, second)
    for key in {*base, *first, *second}:
        was, one, two = base.get(key), first.get(key), second.get(key)
        if two == was:
            assert together.get(key) == one
        elif one == was or not (isinstance(one, list | dict) and type(one) is type(two)):
            assert together.get(key) == two


def test_lists_grow_by_what_each_call_has_added() -> None:
    assert merge({}, {"l": ["a"]}, {"l": ["b"]}, {"l": ["c"]}) == {"l": ["a", "b", "c"]}
    assert merge({"l": [1]}, {"l": [1, 2]}, {"l": [1, 3, 4]}) == {"l": [1, 2, 3, 4]}
    assert merge({"l": [1, 2]}, {"l": [2]}, {"l": [1, 2, 3]}) == {"l": [2, 3]}
    assert merge({"l": [1, 2]}, {"l": [1, 2, 3]}, {"l": [2]}) == {"l": [2, 3]}
    assert merge({"l": [1]}, {"l": []}, {"l": [2]}) == {"l": [2]}


def test_objects_are_merged_key_by_key() -> None:
    base = {"user": {"name": "?", "tags": ["new"], "old": 1}}
    first = {"user": {"name": "Ada", "tags": ["new", "a"], "old": 1}}
    second = {"user": {"name": "?", "tags": ["new", "b"], "age": 36}}
    assert merge(base, first, second) == {
        "user": {"name": "Ada", "tags": ["new", "a", "b"], "age": 36}
    }
    assert merge(base, second, first)["user"] == {
        "name": "Ada",
        "tags": ["new", "b", "a"],
        "age": 36,
    }


def test_what_a_later_call_has_set_stays_but_lists_and_objects_go_on() -> None:
    base = texts_of({"name": "later", "list": ["later"]})
    state: Texts = texts_of({"name": "earlier", "list": ["later", "earlier"]})
    assert values_of(kept(base, state, {"name", "list"})) == {
        "name": "later",
        "list": ["later", "earlier"],
    }
    assert kept({}, texts_of({"deleted": 1}), {"deleted"}) == {}


def test_what_a_run_is_given_goes_over_what_there_is_object_by_object() -> None:
    stored = texts_of({"user": {"name": "Ada", "langs": {"en": 1}}, "count": 3})
    given = {"user": {"age": 36, "langs": {"fr": 2}}, "count": 0, "new": None}
    assert values_of(with_given(stored, given)) == {
        "user": {"name": "Ada", "langs": {"en": 1, "fr": 2}, "age": 36},
        "count": 0,
        "new": None,
    }
