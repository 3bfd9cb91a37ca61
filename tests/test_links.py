"""Every link of a page leads to a file that there is, and to a heading that it has."""

import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TREES = ("docs", "cookbook", "bench", "deploy", ".github")
PAGES = sorted(
    [*ROOT.glob("*.md"), *(page for tree in TREES for page in (ROOT / tree).rglob("*.md"))]
)

FENCE = re.compile(r"^( *)(```+).*?^\1\2 *$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"(`+)(?!`).*?(?<!`)\1(?!`)", re.DOTALL)
LINK = re.compile(r"\]\(([^()\s]+)\)|<(?:img|a)[^>]* (?:src|href)=\"([^\"]+)\"")
HEADING = re.compile(r"^#{1,6} (.*?)(?: #+)?$", re.MULTILINE)
MENTION = re.compile(r"(?<![\w/.-])docs/[\w/-]+(?:\.(?:md|json|png)|/)")


def links(page: Path) -> Iterator[str]:
    """Yield the targets of a page's links that lead to this repository."""
    text = CODE.sub("", FENCE.sub("", page.read_text()))
    for found in LINK.finditer(text):
        target = found[1] or found[2]
        if not re.match(r"[a-z]+:", target):
            yield target


@cache
def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    text = FENCE.sub("", page.read_text())
    found: dict[str, int] = {}
    result = set(re.findall(r"^\(([\w-]+)\)=$", text, re.MULTILINE))
    for heading in HEADING.findall(text):
        heading = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading)
        slug = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        count = found[slug] = found.get(slug, 0) + 1
        result.add(slug if count == 1 else f"{slug}-{count - 1}")
    return result


def broken(page: Path) -> Iterator[str]:
    """Yield the links of a page that lead nowhere."""
    for target in links(page):
        path, _, anchor = target.partition("#")
        to = (page.parent / path).resolve() if path else page
        if not to.exists() or (anchor and to.suffix == ".md" and anchor not in anchors(to)):
            yield target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    assert [*broken(page)] == []


def test_a_link_that_leads_nowhere_is_seen(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# A `b`, c\n[a](page.md#a-b-c) [b](none.md) [c](#d) `[e](e.md)`\n")
    assert [*broken(page)] == ["none.md", "#d"]


def test_every_page_that_a_file_mentions_is_there() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    files = [ROOT / each for each in listed.stdout.splitlines()]
    if not files:
        pytest.skip("not a checkout of git")
    texts = {".py", ".sh", ".md", ".toml", ".yaml", ".yml", ".html", ".ipynb"}
    missing = [
        f"{file.relative_to(ROOT)}: {mention}"
        for file in files
        if file.suffix in texts and file.is_file() and file != Path(__file__)
        for mention in MENTION.findall(file.read_text())
        if not (ROOT / mention).exists()
    ]
    assert missing == []


def test_every_page_of_the_docs_is_in_their_index() -> None:
    docs = ROOT / "docs"
    named = {(docs / each.partition("#")[0]).resolve() for each in links(docs / "README.md")}
    pages = {page for page in docs.rglob("*.md") if page.parent.name != "decisions"}
    beside = {"README", "index", "cookbook", "contributing", "changelog"}  # of the site
    assert pages - named - {docs / f"{name}.md" for name in beside} == set()


def test_every_page_of_the_docs_is_in_the_contents_of_the_site() -> None:
    docs = ROOT / "docs"
    contents = {f"{line}.md" for line in (docs / "index.md").read_text().splitlines()}
    pages = {str(page.relative_to(docs)) for page in docs.rglob("*.md")}
    missing = {page for page in pages - contents if not page.startswith("decisions/0")}
    assert missing == {"README.md", "index.md"}


def test_every_decision_is_in_their_index() -> None:
    index = ROOT / "docs/decisions/README.md"
    named = {index.parent / each.partition("#")[0] for each in links(index)}
    assert {*index.parent.glob("0*.md")} - named == set()
