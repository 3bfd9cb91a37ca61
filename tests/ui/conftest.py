"""What the tests of the page share: a service, a browser, and pages that watch what they load."""

import asyncio
import os
import shutil
from asyncio import AbstractEventLoop
from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest
from operated import Operated
from operated_company import Company, fill
from playwright.sync_api import Browser, BrowserContext, Page, Response, expect, sync_playwright
from visiting import PHONE, Visit

from kern.local.postgres import EmbeddedPostgres

_CHROMIUM = shutil.which("chromium")

# How long anything on a page may take, in milliseconds; the machine may be busy.
_PATIENCE = 30_000

# How the browser tells of any page whose status is an error.
_REFUSED = "the server responded with a status of 4"


@pytest.fixture(scope="session")
def operated(
    postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Operated]:
    """A service that all tests share; what each of them does, it does as users of its own."""
    directory = tmp_path_factory.mktemp("operated")
    with Operated(postgres.url, f"page_{os.getpid()}", directory) as running:
        yield running


class Chromium(NamedTuple):
    """A browser without a window, and the event loop of Playwright, which stays in this thread."""

    browser: Browser
    loop: AbstractEventLoop


@pytest.fixture(scope="session")
def chromium() -> Iterator[Chromium]:
    """One browser for all tests: to start it takes as long as many of them."""
    if _CHROMIUM is None:
        pytest.skip("Chromium is missing; scripts/apt.sh installs it")
    expect.set_options(timeout=_PATIENCE)  # Which is five seconds otherwise.
    with sync_playwright() as playwright:
        # For root, as whom containers run tests, there is no sandbox.
        browser = playwright.chromium.launch(
            executable_path=_CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        loop = asyncio.get_running_loop()
        # Between the tests of pages it must not be in the way of tests with loops of their own.
        asyncio._set_running_loop(None)
        yield Chromium(browser, loop)
        asyncio._set_running_loop(loop)
        browser.close()


@pytest.fixture
def visit(chromium: Chromium, operated: Operated) -> Iterator[Visit]:
    """Open a page as somebody, in a browser of their own: ``visit("/ui/runs", key, phone=True)``.

    Whatever it loads comes from the service, and nothing goes wrong on it.
    """
    opened: list[BrowserContext] = []
    wrong: list[str] = []
    host = urlsplit(operated.url).netloc

    def begin(path: str, key: str | None = None, *, phone: bool = False, **options: Any) -> Page:
        if phone:
            options |= PHONE
        context = chromium.browser.new_context(base_url=operated.url, **options)
        opened.append(context)
        context.set_default_timeout(_PATIENCE)
        if key is not None:
            cookie = {"name": "kern_token", "value": key, "url": f"{operated.url}/ui"}
            context.add_cookies([cookie])  # type: ignore[list-item] # a dict of these keys is one
        page = context.new_page()
        page.on("pageerror", lambda error: wrong.append(f"error: {error}"))
        page.on("console", lambda said: _note(wrong, said.type, said.text))
        page.on("dialog", lambda shown: wrong.append(f"dialog: {shown.message}"))
        page.on("request", lambda request: _check(wrong, request.url, host))
        page.on("response", lambda response: _look(wrong, response))
        page.goto(path)
        return page

    asyncio._set_running_loop(chromium.loop)
    yield begin
    for each in opened:
        each.close()
    asyncio._set_running_loop(None)
    assert not wrong


def _note(wrong: list[str], kind: str, text: str) -> None:
    if kind in ("error", "warning") and _REFUSED not in text:
        wrong.append(f"{kind}: {text}")


def _look(wrong: list[str], response: Response) -> None:
    """Note an error, unless it is a page that says what somebody cannot have."""
    least = 500 if response.request.resource_type == "document" else 400
    if response.status >= least:
        wrong.append(f"{response.status}: {response.url}")


def _check(wrong: list[str], url: str, host: str) -> None:
    parts = urlsplit(url)
    if parts.netloc != host:
        wrong.append(f"elsewhere: {url:.100}")


@pytest.fixture(scope="session")
def company(operated: Operated) -> Iterator[Company]:
    """What a company has done, for those who only look."""
    found = fill(operated)
    # A hash or a path cannot be broken into lines.
    operated.submit(found.operator, "researcher", "unbroken" * 60, session_id="s" * 200)
    yield found
    found.release()
