"""Makes the pictures of the page in docs/ui, of a service that works for a company.

    .venvs/test/bin/python scripts/screenshots.py [--all] [DIRECTORY]

With ``--all`` there is one of each page in each mode, for those who look whether they are good.
"""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests" / "support"))

from operated import Operated  # noqa: E402 # the tests' own parts
from operated_company import Company, fill  # noqa: E402
from ports import free_port  # noqa: E402
from visiting import MODES, PHONE  # noqa: E402

from kern.local.postgres import EmbeddedPostgres  # noqa: E402

# Of these there are pictures in the dark and on a phone, too.
_EACH_MODE = ("overview", "run", "approvals")

_DESKTOP = {"viewport": {"width": 1200, "height": 780}}


def _pages(company: Company) -> dict[str, str]:
    return {
        "overview": "/ui",
        "runs": "/ui/runs",
        "run": f"/ui/runs/{company.runs['done']}",
        "live": f"/ui/runs/{company.runs['live']}",
        "nested": f"/ui/runs/{company.runs['nested']}",
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
        context = browser.new_context(base_url=url, **options)
        for name, path in _pages(company).items():
            if not (wants_all or mode == "light" or name in _EACH_MODE):
                continue
            page = context.new_page()
            if name != "sign-in":
                cookie = {"name": "kern_token", "value": company.operator, "url": f"{url}/ui"}
                context.add_cookies([cookie])  # type: ignore[list-item] # it is such a dict
            page.goto(path, wait_until="networkidle")
            page.screenshot(path=directory / f"{name}-{mode}.png", full_page=wants_all)
            page.close()
        context.close()


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
            with Operated(server.url, "company", Path(data)) as operated, sync_playwright() as play:
                company = fill(operated)
                browser = play.chromium.launch(
                    executable_path=shutil.which("chromium"), args=["--no-sandbox"]
                )
                _take(browser, operated.url, company, options.directory, options.all)
                browser.close()
                company.release()
        finally:
            server.stop("immediate")


if __name__ == "__main__":
    main()
