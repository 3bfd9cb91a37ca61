"""What happened is drawn, in the colours of the mode, and is a table without a script."""

import pytest
from operated import Operated
from operated_company import Company
from playwright.sync_api import Page
from stores import execute
from visiting import Visit, check

from kern.db.methods import Methods

# A company takes its time where the machine is busy.
pytestmark = pytest.mark.timeout(180)

NAMES = ("queue", "throughput", "wait", "duration", "cost", "tokens")

# How many pixels of a plot are not those of its background.
_DRAWN = """canvas => {
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  return data.filter((value, at) => at % 4 === 3 && value > 0).length;
}"""


@pytest.fixture
def busy(operated: Operated, company: Company) -> Company:
    """A company of whose last two hours something is counted."""

    async def write(db: Methods) -> None:
        store = await db.store()
        counts = "array_fill(2::bigint, ARRAY[20])"
        await execute(
            store,
            "INSERT INTO {figures} SELECT 60, date_trunc('minute', now()) "
            "- n * interval '1 minute', agent, 1, 1 + n % 7, n % 5, n % 3, 9 + n % 4, 8, 1, 0, "
            "9000, 800, 0.25, "
            f"{counts}, {counts} FROM generate_series(1, 120) AS n, unnest(ARRAY['', 'researcher'])"
            " AS agent ON CONFLICT DO NOTHING",
        )
        await execute(store, "UPDATE {tick} SET counted_until = date_trunc('minute', now())")

    operated.ask(write)
    return company


def lines(page: Page, name: str) -> int:
    """Return how much of a plot is drawn, once it is."""
    canvas = page.locator(f'.plot[data-of="{name}-figures"] canvas')
    canvas.wait_for()
    drawn: int = canvas.evaluate(_DRAWN)
    return drawn


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_plot_is_drawn(visit: Visit, busy: Company, scheme: str) -> None:
    page = visit("/ui?last=1h", busy.operator, color_scheme=scheme)
    for name in NAMES:
        assert lines(page, name) > 1000, name
        box = page.locator(f'.plot[data-of="{name}-figures"]').bounding_box()
        assert box is not None
        assert box["height"] > 150
    page.locator("#cost-figures summary").click()
    check(page, "/ui")


def test_a_plot_is_as_wide_as_its_card_on_a_phone(visit: Visit, busy: Company) -> None:
    page = visit("/ui?last=24h", busy.operator, phone=True)
    assert lines(page, "queue") > 500
    wide, room = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert wide <= room


def test_without_a_script_each_plot_is_a_table(visit: Visit, busy: Company) -> None:
    page = visit("/ui?last=1h", busy.operator, java_script_enabled=False)
    for name in NAMES:
        figures = page.locator(f"#{name}-figures")
        figures.locator("summary").click()
        assert figures.locator("tbody tr").count() >= 12
    assert not page.locator("canvas").count()
