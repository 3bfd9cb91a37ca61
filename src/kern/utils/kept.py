"""Files in which something is kept on this machine, each read and written as a whole."""

import os
from pathlib import Path


def cache_home(kind: str) -> Path:
    """Return where what is kept goes by default: in ``XDG_CACHE_HOME``, or in ``~/.cache``.

    Args:
        kind: what is kept there.
    """
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "kern" / kind


def write_whole(path: Path, data: bytes) -> None:
    """Write a file; who reads at the same time sees all of it, or none.

    Args:
        path: the file; its directory is made, for this user only.
        data: what goes into it.

    Raises:
        OSError: it cannot be written.
    """
    from tempfile import NamedTemporaryFile

    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with NamedTemporaryFile("wb", dir=path.parent, delete=False) as file:
        try:
            file.write(data)
            file.close()
            os.replace(file.name, path)
        except BaseException:
            os.unlink(file.name)
            raise
