"""What pages load is in the package, unchanged, and nothing of it is from elsewhere."""

import re
from collections.abc import Callable
from hashlib import sha256

import pytest
from strangers import Stranger

from kern.server.ui.rendering import STATIC, environment

VENDORED = {
    "htmx.min.js": "a0abb04f2f45a1f89d1d4844023245537e5e6014c87b144553e0607b4cc32130",
    "hx-sse.min.js": "18ef2761356ec1fe0bb6d92612315b37517a7c1e9856b661c5ae81fef239d103",
    "uPlot.iife.min.js": "19c8d4c6ad88929a79f4ae49d6f7161566dfd0ba3d15cc495e974f787eb78f1f",
    "uPlot.min.css": "df630c6a8d6f8eeaff264b50f73ce5b114f646ffd9a0bb74f049b0a00135fa04",
}
"""The files of others, as they have released them: htmx 4.0.1, uPlot 1.6.32."""

TEMPLATES = STATIC.parent / "templates"  # type: ignore[attr-defined] # a path


@pytest.mark.parametrize("name", VENDORED)
def test_a_file_of_others_is_as_they_released_it(name: str) -> None:
    assert sha256((STATIC / name).read_bytes()).hexdigest() == VENDORED[name]


def test_every_file_of_others_has_its_licence_beside_it() -> None:
    ours = {"kern.css", "kern.js", "kern.svg", "plots.css", "plots.js"}
    others = {each.name for each in STATIC.iterdir()} - ours
    assert others == {*VENDORED, "htmx.LICENSE", "uPlot.LICENSE"}


def test_pages_may_load_and_run_only_what_is_their_own(signed_in: Callable[..., Stranger]) -> None:
    browser = signed_in()
    for path in ("/ui", "/ui/none", "/ui/sign-in"):
        headers = browser.open(path).headers
        policy = dict(each.split(" ", 1) for each in headers["content-security-policy"].split("; "))
        assert policy.pop("default-src") == "'none'"
        assert {*policy.values()} == {"'self'", "'none'"}
        assert {"script-src", "style-src", "connect-src", "form-action"} <= policy.keys()
        assert (policy["frame-ancestors"], policy["base-uri"]) == ("'none'", "'none'")
        assert headers["cache-control"] == "no-store"
        assert headers["x-content-type-options"] == "nosniff"


def test_no_template_has_anything_inline_or_from_elsewhere() -> None:
    for path in TEMPLATES.rglob("*.html"):
        text = path.read_text()
        assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=|hx-on", text), path
        assert not re.search(r"https?://|\|\s*safe\b|autoescape false|Markup", text), path


def test_addresses_of_files_change_with_them_so_that_browsers_keep_them(
    signed_in: Callable[..., Stranger],
) -> None:
    browser = signed_in()
    found = re.findall(r'(?:src|href)="(/ui/static/[^"]+)"', browser.see("/ui"))
    assert len(found) >= 4
    for path in found:
        response = browser.open(path)
        assert response.status_code == 200
        assert "immutable" in response.headers["cache-control"]
        assert path.endswith(sha256(response.content).hexdigest()[:12])
    assert browser.open("/ui/static/../pages.py").status_code == 404
    assert browser.open("/ui/static/..%2fpages.py").status_code == 404


def test_hostile_text_stays_text() -> None:
    hostile = "<script>alert(1)</script>\"'<img src=x>\x1b[31m\u202eabc\u0000javascript:"
    html = macro("{{ ui.text(value) }}{{ ui.words(value) }}{{ ui.badge(value) }}", value=hostile)
    assert not re.search(r"<(script|img)", html)
    assert not {"\x1b", "\u202e", "\x00"} & {*html}
    assert "[U+202E]" in html


def test_a_long_text_is_cut_and_says_where_the_rest_is() -> None:
    html = macro('{{ ui.text(value, 10, "/ui/all") }}', value="x" * 1_000_010)
    assert len(html) < 300
    assert '1,000,000 more characters: <a href="/ui/all">show all</a>' in html


def macro(source: str, **context: object) -> str:
    template = '{% import "macros.html" as ui %}' + source
    return environment().from_string(template).render(context)
