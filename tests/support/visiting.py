"""Looking at pages in a browser, as different people do."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from axe_playwright_python.base import AXE_SCRIPT, AxeResults
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


@contextmanager
def dark_phone(page: Page) -> Iterator[None]:
    """Have the page that is open on a phone in the dark for a while; it is not loaded anew."""
    devtools = page.context.new_cdp_session(page)

    def show(size: Any, scheme: Any, is_mobile: bool) -> None:
        metrics = {**size, "deviceScaleFactor": 1, "mobile": is_mobile}
        devtools.send("Emulation.setDeviceMetricsOverride", metrics)
        page.emulate_media(color_scheme=scheme)

    size = page.viewport_size
    show(PHONE["viewport"], "dark", True)
    yield
    show(size, "light", False)


def check(page: Page, where: str) -> None:
    """Fail where somebody cannot read a page."""
    if page.evaluate("typeof axe") == "undefined":
        page.evaluate(AXE_SCRIPT)
    found = AxeResults(page.evaluate("axe.run({resultTypes: ['violations']})"))
    assert found.violations_count == 0, f"{where}: {found.generate_report()}"
    assert page.locator("h1").count() == 1, where
    assert page.get_by_role("main").count() == 1, where
    assert page.get_by_role("navigation").count() >= 1, where
    assert page.title(), where
    wide, room = page.evaluate(
        "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"
    )
    assert wide <= room, f"{where} is {wide} wide on {room}"
