"""How Sphinx makes a site of these pages: ``scripts/docs.sh``."""

import re
import subprocess
import sys
from os.path import relpath
from pathlib import Path

from docutils import nodes
from pygments.lexers.special import TextLexer
from sphinx import addnodes
from sphinx.application import Sphinx

from kern import __version__

DOCS = Path(__file__).parent
ROOT = DOCS.parent

project = "kern"
author = "the authors of kern"
release = version = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["README.md"]  # it is the first part of index.md

html_theme = "furo"
html_title = f"kern {__version__}"
html_copy_source = False
html_show_sphinx = False

myst_heading_anchors = 4

autoclass_content = "both"
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_default_options = {"members": True}
napoleon_custom_sections = [("Keywords", "params_style")]
napoleon_numpy_docstring = False
napoleon_use_ivar = True
python_maximum_signature_line_length = 90

# Pages of the site whose text lies elsewhere, where GitHub shows it, too.
OUTSIDE = {
    "index": DOCS / "README.md",
    "cookbook": ROOT / "cookbook/README.md",
    "contributing": ROOT / "CONTRIBUTING.md",
    "changelog": ROOT / "CHANGELOG.md",
}
PLACES = {page: DOCS / f"{name}.md" for name, page in OUTSIDE.items()}
PLACES[ROOT / "README.md"] = DOCS / "index.md"
COMMANDS = "-m", "typer", "kern.cli.main", "utils", "docs", "--name", "kern"
"""The arguments of Python with which Typer describes every command."""

LINK = re.compile(r"\[([^][]*)\]\(([^()\s#]+)(#[^()\s]*)?\)")


def read(_app: Sphinx, name: str, source: list[str]) -> None:
    """Bring a page in, from wherever it lies, with links that lead to pages of the site."""
    here = DOCS / f"{name}.md"
    if not here.exists():
        return
    page = OUTSIDE.get(name, here)
    if name == "index":
        source[0] = f"{page.read_text()}\n{source[0]}"
    elif page is not here:
        source[0] = page.read_text()

    def lead(link: re.Match[str]) -> str:
        text, path, anchor = link.groups()
        to = (page.parent / path).resolve()
        if re.match("[a-z]+:", path) or not to.exists():
            return link[0]
        if to.is_dir():
            return text
        return f"[{text}]({relpath(PLACES.get(to, to), here.parent)}{anchor or ''})"

    # The labels of diagrams, which are text here.
    source[0] = re.sub(r'(\["[^"\n]*)<br>', r"\1: ", LINK.sub(lead, source[0]))
    if name == "reference/commands":
        told = subprocess.check_output([sys.executable, *COMMANDS], text=True)
        source[0] += re.sub("^#", "##", told, flags=re.MULTILINE)
    if name == "decisions/README":
        source[0] += "\n```{toctree}\n:hidden:\n:glob:\n\n0*\n```\n"


def prepare(_app: Sphinx, what: str, _name: str, _o: object, _p: object, lines: list[str]) -> None:
    """Make links of the pages that a docstring names, and keep Napoleon from finding types in it.

    It takes what stands before a colon in what is returned for a type, and here no type is there.
    """
    if what in {"attribute", "data", "property"} and lines:
        lines[0] = f": {lines[0]}"
    lines[:] = [re.sub(r"``docs/([\w/-]+)\.md``", r":doc:`/\1`", line) for line in lines]
    for number, line in enumerate(lines[:-1], 1):
        if line.strip() in {"Returns:", "Yields:"}:
            lines[number] = re.sub(r"^( *)", r"\1: ", lines[number])


def sign(*arguments: object) -> tuple[str, object] | None:
    """Write a default that is made by a function so that the signature can be read."""
    signature, returned = arguments[-2:]
    return (signature.replace("<factory>", "..."), returned) if isinstance(signature, str) else None


def find_by_name(_app: Sphinx, doctree: nodes.document) -> None:
    """Have names in docstrings found that stand there without their module."""
    for node in doctree.findall(addnodes.pending_xref):
        if node["refdomain"] == "py":
            node["refspecific"] = True


def setup(app: Sphinx) -> None:
    """Add what these pages need beside Sphinx's own."""
    app.add_lexer("mermaid", TextLexer)
    app.connect("source-read", read)
    app.connect("autodoc-process-docstring", prepare, priority=400)  # before Napoleon
    app.connect("autodoc-process-signature", sign)
    app.connect("doctree-read", find_by_name)
