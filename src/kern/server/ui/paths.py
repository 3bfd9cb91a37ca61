"""Where pages are, also where the application is mounted below another."""

from urllib.parse import quote, unquote, urlencode

from fastapi import Request

# Parts that are no id to a browser or a route.
_MISREAD = {"live": "%6Cive", ".": "%2E", "..": "%2E%2E"}


def root_of(request: Request) -> str:
    """Return the path below which pages are, such as ``/ui``."""
    root: str = request.scope.get("root_path", "")
    return f"{root}/ui"


def here_of(request: Request) -> str:
    """Return the path and query of a page, also where its live parts are asked for."""
    path = quote(request.url.path.removesuffix("/live"))
    return f"{path}?{request.url.query}" if request.url.query else path


def path_of(root: str, *parts: str, **query: object) -> str:
    """Return the path of a page.

    Args:
        root: the path below which pages are.
        *parts: the parts of the path, such as ``"runs", run_id``.
        **query: the query; what is None or empty is left out.
    """
    path = "/".join((root, *map(_segment, parts)))
    given = {name: value for name, value in query.items() if value not in (None, "", (), [])}
    return f"{path}?{urlencode(given, doseq=True)}" if given else path


def _segment(part: str) -> str:
    """Return a part of a path, which may be any id: with slashes, or the word of a stream.

    Servers decode a path before it is taken apart, so what would then be misread is encoded twice;
    :func:`part_of` is the inverse.
    """
    return quote(_MISREAD.get(part) or part.replace("%", "%25").replace("/", "%2F"), safe="")


def part_of(segment: str) -> str:
    """Return what a part of a decoded path stands for."""
    return unquote(segment)


def page_path(request: Request, path: object) -> str:
    """Return a path if it is a page's; else that of the first one, as anybody may have named it."""
    root = root_of(request)
    if not isinstance(path, str) or not path.isprintable() or "\\" in path:
        return root
    return path if path == root or path.startswith((f"{root}/", f"{root}?")) else root
