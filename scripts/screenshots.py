"""Makes the pictures of the page in docs/ui, of a service that works for a company.

    .venvs/test/bin/python scripts/screenshots.py [--all] [DIRECTORY]

With ``--all`` there is one of each page in each mode, for those who look whether they are good.
"""

import argparse
import asyncio
import math
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from random import Random

import asyncpg
from PIL import Image
from playwright.sync_api import Browser, Playwright, sync_playwright

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests" / "support"))

from operated import Operated  # noqa: E402 # the tests' own parts
from operated_company import Company, fill  # noqa: E402
from ports import free_port  # noqa: E402
from visiting import MODES, PHONE  # noqa: E402

from kern.local.postgres import EmbeddedPostgres  # noqa: E402

# Of these there are pictures; of some of them in the dark and on a phone, too.
_SHOWN = ("runs", "live", "team", "questions", "session", "schedules", "workers")
_EACH_MODE = ("overview", "run", "approvals")

_TABLE = "company"

_ALIAS = """<match><test name="family"><string>{}</string></test>
<edit name="family" mode="assign" binding="strong"><string>{}</string></edit></match>"""

_FONTS = f"""<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig><include>/etc/fonts/fonts.conf</include>
{_ALIAS.format("sans", "Liberation Sans")}
{_ALIAS.format("sans-serif", "Liberation Sans")}
{_ALIAS.format("system-ui", "Liberation Sans")}
{_ALIAS.format("ui-monospace", "Liberation Mono")}
</fontconfig>
"""

_DESKTOP = {"viewport": {"width": 1200, "height": 780}}


def _pages(company: Company) -> dict[str, str]:
    return {
        "overview": "/ui",
        "runs": "/ui/runs",
        "run": f"/ui/runs/{company.runs['done']}",
        "live": f"/ui/runs/{company.runs['live']}",
        "nested": f"/ui/runs/{company.runs['nested']}",
        "team": f"/ui/runs/{company.runs['team']}",
        "aside": f"/ui/runs/{company.runs['aside']}",
        "failed": f"/ui/runs/{company.runs['failed']}",
        "refund": f"/ui/runs/{company.runs['refund']}",
        "questions": f"/ui/runs/{company.runs['questions']}",
        "approvals": "/ui/approvals",
        "sessions": "/ui/sessions",
        "session": f"/ui/sessions/{company.sessions['talk']}",
        "schedules": "/ui/schedules",
        "workers": "/ui/workers",
        "sign-in": "/ui/sign-in",
    }


def _take(browser: Browser, url: str, company: Company, directory: Path, wants_all: bool) -> None:
    for mode in ("light", "dark", "phone", *(("dark-phone",) if wants_all else ())):
        options = dict(MODES[mode])
        options |= PHONE if options.pop("phone", False) else _DESKTOP
        for name, path in _pages(company).items():
            is_shown = name in _EACH_MODE or (name in _SHOWN and mode == "light")
            if not (wants_all or is_shown):
                continue
            context = browser.new_context(base_url=url, **options)
            if name != "sign-in":
                cookie = {"name": "kern_token", "value": company.operator, "url": f"{url}/ui"}
                context.add_cookies([cookie])  # type: ignore[list-item] # it is such a dict
            page = context.new_page()
            page.goto(path)
            if page.locator("#stream").count():
                page.locator("#stream:is([data-state=live], [data-state=complete])").wait_for()
            picture = Image.open(BytesIO(page.screenshot(full_page=wants_all))).convert("RGB")
            picture.quantize(96).save(directory / f"{name}-{mode}.png", optimize=True)
            context.close()


def _tallies(now: datetime) -> Iterator[tuple[object, ...]]:
    """Yield the figures of a month: a row a minute for two days, and a row an hour before."""
    random = Random(17)
    for span, rows in ((60, 2 * 24 * 60), (3600, 30 * 24)):
        begins_at = datetime.fromtimestamp(now.timestamp() // span * span, UTC)
        for number in range(1, rows + 1):
            at = begins_at - timedelta(seconds=span * number)
            busy = 1 + math.sin((at.hour + at.minute / 60 - 9) * math.pi / 12)
            runs = round(span / 60 * (0.4 + 9 * busy**2 * random.uniform(0.7, 1.3)))
            failed = sum(random.random() < 0.02 for _ in range(min(runs, 200))) * max(
                1, runs // 200
            )
            waits, durations = [0] * 20, [0] * 20
            waits[3], waits[5], waits[7] = runs * 6 // 10, runs * 3 // 10, runs // 12
            durations[8], durations[10], durations[12] = runs // 2, runs * 4 // 10, runs // 15
            samples = span // 60
            executing = round(samples * runs * 60 / span * 0.6)
            due = round(samples * max(0.0, busy - 1.2) * random.uniform(0, 12))
            yield (span, at, "", samples, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0.0, None, None)
            counts = (0, executing, due, due // 3, runs, runs - failed, failed, runs // 40)
            used = (runs * 2100, runs * 380, runs * 0.0031)
            yield (span, at, "researcher", *counts, *used, waits, durations)


async def _write_history(url: str) -> None:
    connection = await asyncpg.connect(url)
    rows = [*_tallies(datetime.now(UTC))]
    places = ", ".join(f"${number + 1}" for number in range(len(rows[0])))
    await connection.executemany(
        f"INSERT INTO kern.{_TABLE}_figures VALUES ({places}) ON CONFLICT DO NOTHING", rows
    )
    await connection.execute(
        f"UPDATE kern.{_TABLE}_tick SET counted_until = date_trunc('minute', now())"
    )
    await connection.close()


def _launch(play: Playwright, directory: Path) -> Browser:
    """Start a browser whose fonts are the same wherever Debian's are installed."""
    fonts = directory / "fonts.conf"
    fonts.write_text(_FONTS)
    return play.chromium.launch(
        executable_path=shutil.which("chromium"),
        args=["--no-sandbox"],
        env={**os.environ, "FONTCONFIG_FILE": str(fonts)},
    )


def main() -> None:
    """Make them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", nargs="?", type=Path, default=ROOT / "docs" / "ui")
    parser.add_argument("--all", action="store_true", help="each page in each mode, in whole")
    options = parser.parse_args()
    options.directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="kern-test-") as data:
        Path(data).chmod(0o755)
        server = EmbeddedPostgres(Path(data) / "postgres", port=free_port())
        server.start()
        try:
            with Operated(server.url, _TABLE, Path(data)) as operated:
                asyncio.run(_write_history(server.url))
                company = fill(operated)
                with sync_playwright() as play:
                    browser = _launch(play, Path(data))
                    _take(browser, operated.url, company, options.directory, options.all)
                    browser.close()
                company.release()
        finally:
            server.stop("immediate")


if __name__ == "__main__":
    main()
