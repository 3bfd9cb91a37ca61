"""Looks whether the site of the documentation is whole: ``scripts/docs.sh`` calls it.

No page may load anything from another host, and every public name has to be in the API reference.
"""

import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from importlib import import_module
from pathlib import Path
from pkgutil import resolve_name
from typing import TypeVar

from sphinx.util.inventory import InventoryFile

ROOT = Path(__file__).parent.parent

LOADED = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src"}
"""What a browser loads without being asked, by tag."""

MODULES = [
    *("kern", "kern.agent", "kern.agent.serving", "kern.approval", "kern.guardrails", "kern.hooks"),
    *("kern.db.in_memory", "kern.db.postgres", "kern.db.sqlite", "kern.exceptions", "kern.media"),
    *("kern.metrics", "kern.models.anthropic", "kern.models.google", "kern.models.openai"),
    *("kern.models.response", "kern.run", "kern.run.agent", "kern.run.cancel", "kern.server"),
    *("kern.session", "kern.telemetry", "kern.testing", "kern.tools", "kern.tools.function"),
    *("kern.tools.mcp", "kern.utils.pprint"),
]
"""The modules whose names are public."""


class Page(HTMLParser):
    """Notes what a page loads."""

    def __init__(self, text: str) -> None:
        """Read a page."""
        super().__init__()
        self.loaded: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what a tag loads."""
        attributes = dict(attrs)
        if tag == "link" and attributes.get("rel") not in {"stylesheet", "icon", "preload"}:
            return
        if (address := attributes.get(LOADED.get(tag, ""))) is not None:
            self.loaded.append(address)


def strangers(site: Path) -> Iterator[str]:
    """Yield what pages and style sheets load from other hosts."""
    for page in site.rglob("*.html"):
        for address in Page(page.read_text()).loaded:
            if address.startswith(("http:", "https:", "//")):
                yield f"{page.relative_to(site)} loads {address}"
    for sheet in site.rglob("*.css"):
        if any(f"url({quote}http" in sheet.read_text() for quote in ("", "'", '"')):
            yield f"{sheet.relative_to(site)} loads from another host"


def found(name: str) -> object:
    """Return what a name of the reference stands for; None for what only an object has."""
    try:
        return resolve_name(name)
    except (AttributeError, ImportError):
        return None


def unnamed(site: Path) -> Iterator[str]:
    """Yield the public names that stand for what the API reference does not have."""
    inventory = InventoryFile.loads((site / "objects.inv").read_bytes(), uri="")
    names = {name for kind, each in inventory.data.items() if kind[:3] == "py:" for name in each}
    there = {id(found(name)) for name in names}
    for module in map(import_module, MODULES):
        for name in module.__all__:
            value = getattr(module, name)
            if callable(value) and not isinstance(value, TypeVar) and id(value) not in there:
                yield f"{module.__name__}.{name} is not in docs/reference/api"


if __name__ == "__main__":
    site = Path(sys.argv[1])
    wrong = [*strangers(site), *unnamed(site)]
    print(*wrong, sep="\n", end="\n" if wrong else "")
    sys.exit(bool(wrong))
