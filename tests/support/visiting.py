"""Looking at pages in a browser, as different people do."""

from collections.abc import Callable
from functools import cache
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

Visit = Callable[..., Page]
"""Opens a page as somebody, in a browser of their own: a path, an API key, and options."""

PHONE: dict[str, Any] = {
    "viewport": {"width": 360, "height": 740},
    "has_touch": True,
    "is_mobile": True,
}
"""The options of a browser on a phone."""

MODES: dict[str, dict[str, Any]] = {
    "light": {},
    "dark": {"color_scheme": "dark"},
    "phone": {"phone": True},
    "dark-phone": {"phone": True, "color_scheme": "dark"},
}

# The least side of what is touched, in CSS pixels, but for links within a text.
TARGETS = """() => [...document.querySelectorAll("button, input, select, textarea, summary, nav a")]
  .filter(each => each.checkVisibility() && each.type !== "hidden")
  .map(each => [each, (each.closest("label") || each).getBoundingClientRect()])
  .filter(([_, box]) => box.height < 44 || box.width < 44)
  .map(([each, box]) => `${each.outerHTML.slice(0, 120)}: ${box.width} × ${box.height}`)"""


# Reading it takes longer than to check many pages.
_axe = cache(Axe)


def check(page: Page, where: str) -> None:
    """Fail where somebody cannot read a page."""
    found = _axe().run(page, options={"resultTypes": ["violations"]})
    assert found.violations_count == 0, f"{where}: {found.generate_report()}"
    assert page.locator("h1").count() == 1, where
    assert page.get_by_role("main").count() == 1, where
    assert page.get_by_role("navigation").count() >= 1, where
    assert page.title(), where
    wide, room = page.evaluate(
        "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"
    )
    assert wide <= room, f"{where} is {wide} wide on {room}"
