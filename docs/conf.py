"""How Sphinx makes a site of these pages: ``scripts/docs.sh``."""

import re
from os.path import relpath
from pathlib import Path

from pygments.lexers.special import TextLexer
from sphinx.application import Sphinx

from kern import __version__

DOCS = Path(__file__).parent
ROOT = DOCS.parent

project = "kern"
author = "the authors of kern"
release = version = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["README.md"]  # index.md includes it

html_theme = "furo"
html_title = f"kern {__version__}"
html_copy_source = False
html_show_sphinx = False

myst_heading_anchors = 4

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_default_options = {"members": True, "show-inheritance": True}
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
python_maximum_signature_line_length = 90

# Pages of the site that lie outside of docs, where GitHub shows them, too.
OUTSIDE = {
    "cookbook": ROOT / "cookbook/README.md",
    "contributing": ROOT / "CONTRIBUTING.md",
    "changelog": ROOT / "CHANGELOG.md",
}
PLACES = {
    **{page: DOCS / f"{name}.md" for name, page in OUTSIDE.items()},
    ROOT / "README.md": DOCS / "index.md",
    DOCS / "README.md": DOCS / "index.md",
}
LINK = re.compile(r"\[([^][]*)\]\(([^()\s#]+)(#[^()\s]*)?\)")


def read(_app: Sphinx, name: str, source: list[str]) -> None:
    """Bring a page in, from wherever it lies, with links that lead to pages of the site."""
    here = DOCS / f"{name}.md"
    if not here.exists():
        return
    page = OUTSIDE.get(name, here)
    if page is not here:
        source[0] = page.read_text()

    def lead(link: re.Match[str]) -> str:
        text, path, anchor = link.groups()
        to = (page.parent / path).resolve()
        if re.match("[a-z]+:", path) or not to.exists():
            return link[0]
        if to.is_dir():
            return text
        return f"[{text}]({relpath(PLACES.get(to, to), here.parent)}{anchor or ''})"

    source[0] = LINK.sub(lead, source[0])
    if name == "decisions/README":
        source[0] += "\n```{toctree}\n:hidden:\n:glob:\n\n0*\n```\n"


def link_pages(*arguments: object) -> None:
    """Make links of the pages that docstrings name."""
    lines = arguments[-1]
    assert isinstance(lines, list)
    lines[:] = [re.sub(r"``docs/([\w/-]+)\.md``", r":doc:`/\1`", line) for line in lines]


def setup(app: Sphinx) -> None:
    """Add what these pages need beside Sphinx's own."""
    app.add_lexer("mermaid", TextLexer)
    app.connect("source-read", read)
    app.connect("autodoc-process-docstring", link_pages)
