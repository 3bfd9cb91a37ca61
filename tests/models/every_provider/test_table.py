"""The table in docs/guides/models.md says of each provider what the tests here rest on."""

from pathlib import Path

import pytest
from providers import PROVIDERS

from kern.models.openai import OpenAILike

DOCUMENT = Path(__file__).parents[3] / "docs/guides/models.md"


@pytest.fixture(scope="module")
def table() -> dict[str, dict[str, str]]:
    """The cells of the table by row and provider."""
    section = DOCUMENT.read_text().partition("## What each can")[2].partition("**What")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    head, _, *rows = [[cell.strip(" `") for cell in line.split("|")[1:-1]] for line in lines]
    return {name: dict(zip(head[1:], cells, strict=True)) for name, *cells in rows}


def test_every_provider_has_a_column(table: dict[str, dict[str, str]]) -> None:
    named = [name for name, each in PROVIDERS.items() if each.kind is not OpenAILike]
    assert len(table) > 20
    for row in table.values():
        assert [*row] == named


@pytest.mark.parametrize("name", [name for name in PROVIDERS if name != "OpenAILike"])
def test_its_column_says_what_it_is_tested_with(
    table: dict[str, dict[str, str]], name: str
) -> None:
    provider = PROVIDERS[name]
    assert (table["sound in"][name] != "its transcript") is provider.takes_sound
    assert (table["tokens of sound"][name] == "yes") is provider.takes_sound
    draws = table["images out"][name] in ("yes", "a tool draws them")
    assert draws is (provider.drawn is not None)
