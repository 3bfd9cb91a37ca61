"""Templates, and what they may use."""

import json
from datetime import UTC, datetime, timedelta
from functools import cache
from hashlib import sha256
from importlib.resources import files

from fastapi import Request, Response
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from kern.operations.wording import cost_text, dollars, lasted
from kern.run.printable import visible
from kern.server.ui.flash import flashed, forget_flash
from kern.server.ui.paths import root_of
from kern.server.ui.viewing import Viewer

STATIC = files("kern.server.ui") / "static"
"""The files that pages load."""


def page(
    request: Request, viewer: Viewer | None, template: str, status: int = 200, **context: object
) -> Response:
    """Return a page.

    Args:
        request: the request that it answers.
        viewer: who looks; None where that is not known.
        template: the name of its template, which extends ``base.html``.
        status: the HTTP status.
        **context: what the template shows.
    """
    flash = flashed(request)
    html = part(template, viewer=viewer, flash=flash, root=root_of(request), **context)
    response = Response(html, status, media_type="text/html")
    if flash is not None:
        forget_flash(request, response)
    return response


def part(name: str, **context: object) -> Markup:
    """Return one template, rendered alone.

    Args:
        name: the template, such as ``"parts/runs.html"``.
        **context: what it shows; ``viewer`` where it has links or forms.
    """
    return Markup(environment().get_template(name).render(context))


@cache
def environment() -> Environment:
    """Return the templates, with what they may use."""
    found = Environment(
        loader=PackageLoader("kern.server.ui"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters |= {
        "visible": visible,
        "iso": _iso,
        "clock": _clock,
        "seconds": _seconds,
        "dollars": dollars,
        "cost": cost_text,
        "json": _pretty,
    }
    found.globals |= {"static": _static, "now": lambda: datetime.now(UTC)}
    return found


def _moment(value: datetime | float) -> datetime:
    return value if isinstance(value, datetime) else datetime.fromtimestamp(value, UTC)


def _iso(value: datetime | float) -> str:
    return _moment(value).astimezone(UTC).isoformat(timespec="milliseconds")


def _clock(value: datetime | float) -> str:
    return f"{_moment(value).astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _seconds(value: timedelta | float) -> str:
    return lasted(value if isinstance(value, timedelta) else timedelta(seconds=value))


def _pretty(value: object) -> str:
    """Return JSON values as text of several lines; a text as it is."""
    return value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)


@cache
def _static(name: str) -> Markup:
    """Return what follows the page's root in the address of a file: it changes with the file."""
    digest = sha256((STATIC / name).read_bytes()).hexdigest()[:12]
    return Markup(f"/static/{name}?v={digest}")
