"""What filters mean, the same in Python and in every database."""

import asyncio
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kern.errors import InvalidInputError
from kern.filters import AND, DEPTH, EQ, GT, IN, LT, NOT, OR, FilterExpr, filter_of
from kern.local.postgres import EmbeddedPostgres
from kern.testing import WordsEmbedder
from kern.vectordb.base import VectorDb
from kern.vectordb.document import Document
from kern.vectordb.pgvector import PgVector
from kern.vectordb.sqlite import SqliteVec

texts = st.one_of(
    st.sampled_from(["", "a", "b", "é", "$.a", 'a"b', "a'b", "a.b", "1", "true", "2026-01-01"]),
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=4),
)
numbers = st.one_of(
    st.integers(-(2**63), 2**63 - 1),
    st.sampled_from([0, 1, 1.0, -0.5, 0.1, 2**53 + 1, 2.0**53, 1e300, 5e-324, 2**70, -(2**1023)]),
)
scalars = st.one_of(texts, numbers, st.booleans())
keys = st.one_of(st.sampled_from(["a", "b", 'a"b', "$.a", "a.b"]), texts).filter(bool)
leaves = st.one_of(
    st.builds(EQ, keys, scalars),
    st.builds(IN, keys, st.lists(scalars, max_size=3)),
    st.builds(GT, keys, st.one_of(texts, numbers)),
    st.builds(LT, keys, st.one_of(texts, numbers)),
)
filters = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda each: AND(*each)),
        st.lists(inner, max_size=3).map(lambda each: OR(*each)),
        st.builds(NOT, inner),
    ),
    max_leaves=5,
)
nested = st.one_of(st.lists(scalars, max_size=2), st.dictionaries(keys, scalars, max_size=2))
known = st.dictionaries(keys, st.one_of(scalars, st.none(), nested), max_size=3)


@given(condition=filters)
def test_a_filter_goes_to_json_and_back(condition: FilterExpr) -> None:
    assert filter_of(condition.to_dict()) == condition


@pytest.mark.parametrize("examples", [15, pytest.param(300, marks=pytest.mark.nightly)])
def test_databases_find_what_filters_match(postgres: EmbeddedPostgres, examples: int) -> None:
    async def check(cases: list[tuple[FilterExpr, dict[str, Any]]]) -> None:
        embedder = WordsEmbedder(2)
        for vectors in (
            PgVector("filtered", "vectors", postgres.url, embedder),
            SqliteVec(":memory:", embedder=embedder),
        ):
            await vectors.aupsert(
                [
                    Document("x", id=str(n), meta_data=meta_data, embedding=[1.0, 0.0])
                    for n, (_, meta_data) in enumerate(cases)
                ]
            )
            for condition, _ in cases:
                found = await vectors.acount(filters=condition)
                expected = sum(condition.matches(each) for _, each in cases)
                assert found == expected, (vectors, condition, [each for _, each in cases])
            await vectors.aclose()

    @settings(max_examples=examples, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(cases=st.lists(st.tuples(filters, known), min_size=8, max_size=8))
    def each(cases: list[tuple[FilterExpr, dict[str, Any]]]) -> None:
        asyncio.run(check(cases))

    each()


async def test_as_many_values_are_compared_with_as_are_allowed(vectors: VectorDb) -> None:
    await vectors.aupsert([Document("x", meta_data={"a": 7}), Document("y", meta_data={"b": 7})])
    assert await vectors.acount(filters={"a": [*range(1000)]}) == 1
    assert await vectors.acount(filters=OR(*[GT("b", number) for number in range(1000)])) == 1
    assert len(await vectors.asearch("x", filters=[LT("a", 10 + n) for n in range(1000)])) == 1


def test_forms_of_filters_mean_the_same() -> None:
    assert filter_of(None) is None
    assert filter_of({}) is None
    assert filter_of([]) is None
    assert filter_of({"a": 1}) == EQ("a", 1) == filter_of([EQ("a", 1)])
    assert filter_of({"a": ("x", "y"), "b": True}) == IN("a", ["x", "y"]) & EQ("b", True)
    assert filter_of([{"a": 1}, GT("b", 2)]) == AND(EQ("a", 1), GT("b", 2))
    assert filter_of({"op": "IN", "key": "a", "value": ["x"]}) == IN("a", ["x"])


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ("lang", "such as EQ"),
        (7, "such as EQ"),
        ({"a": None}, "a text, a finite number or a bool"),
        ({"a": float("nan")}, "a text, a finite number or a bool"),
        ({"a": 10**5000}, r"numbers below 1\.8e308"),
        ([LT, -1], "such as EQ"),
        ({"a": {"b": 1}}, "a text, a finite number or a bool"),
        ({1: "a"}, "key must be text"),
        ({"": "a"}, "key must be text"),
        ({"op": "LIKE", "key": "a", "value": "b"}, "There are EQ, IN, GT, LT, AND, OR, NOT"),
        ({"op": "GT", "key": "a", "value": True}, "not a bool"),
        ({"op": "EQ"}, "key must be text"),
        ({"op": "IN", "key": "a", "values": "abc"}, "list of values"),
        ({"op": "AND", "conditions": 3}, "list of conditions"),
        ({"op": "NOT"}, "needs a condition"),
    ],
)
def test_what_is_no_filter_is_refused(wrong: Any, told: str) -> None:
    with pytest.raises(InvalidInputError, match=told):
        filter_of(wrong)


def test_filters_are_not_nested_for_ever() -> None:
    deep: Any = {"a": 1}
    built: FilterExpr = EQ("a", 1)
    for _ in range(DEPTH):
        deep, built = {"op": "NOT", "condition": deep}, NOT(built)
    with pytest.raises(InvalidInputError, match="deep"):
        filter_of(deep)
    with pytest.raises(InvalidInputError, match="deep"):
        filter_of(built)
    many = [EQ("a", number) for number in range(1001)]
    with pytest.raises(InvalidInputError, match="1000"):
        filter_of(many)
    with pytest.raises(InvalidInputError, match="1000"):
        filter_of({"a": [*range(1001)]})
    with pytest.raises(InvalidInputError, match="no condition"):
        AND("a")  # type: ignore[arg-type] # what is tried
