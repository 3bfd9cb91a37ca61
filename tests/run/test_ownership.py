"""Whose an id is."""

from hypothesis import given
from hypothesis import strategies as some

from kern.run.codec import check_id
from kern.run.ownership import ids_of, may_see, own_id, place

IDS = some.text(some.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=255)


@given(IDS, IDS)
def test_an_own_id_is_an_id_and_its_own(chosen: str, user: str) -> None:
    own = own_id(chosen, user)
    assert check_id("run_id", own) == own != chosen
    assert own_id(own, user) == own
    assert ids_of(own, user) == (own,)
    assert ids_of(chosen, user) == (own, chosen)
    assert ids_of(chosen, None) == (chosen,)


@given(IDS, IDS, IDS)
def test_users_have_different_own_ids(chosen: str, user: str, other: str) -> None:
    assert (own_id(chosen, user) == own_id(chosen, other)) == (user == other)


@given(IDS, IDS, IDS)
def test_what_one_user_chooses_is_never_anothers_own(chosen: str, user: str, other: str) -> None:
    own = own_id(chosen, user)
    if user != other:
        assert place(own, other, {}) != own


@given(IDS, some.lists(some.tuples(some.sampled_from("abc"), some.booleans()), max_size=20))
def test_a_user_finds_what_it_was_given_whatever_others_do(
    chosen: str, steps: list[tuple[str, bool]]
) -> None:
    owners: dict[str, str | None] = {}
    given: dict[str, str] = {}
    for user, erases in steps:
        if erases:
            owners = {each: owner for each, owner in owners.items() if owner != user}
            given.pop(user, None)
            continue
        placed = place(chosen, user, owners)
        assert may_see(user, owners.setdefault(placed, user))
        assert given.setdefault(user, placed) == placed
    for user, placed in given.items():
        found = [each for each in ids_of(chosen, user) if owners.get(each) == user]
        assert found == [placed]
