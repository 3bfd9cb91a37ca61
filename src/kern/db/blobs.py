"""What kern needs of a database for what no row can hold: the port beside that of the runs."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Sequence
from hashlib import sha256

from kern.errors import BlobNotFoundError
from kern.run.content import Blob

CHUNK = 256 * 1024
"""The bytes of a row, at most."""

CHUNKS = 16
"""How many rows share a statement, so that none is longer than 4 MiB."""


class Blobs(ABC):
    """Keeps data beside the run that it belongs to, by its hash; it is deleted with the run.

    Every method raises :class:`~kern.errors.DatabaseUnavailableError` where the database cannot
    be reached.
    """

    async def put(self, run_id: str, data: bytes, hash: str | None = None) -> Blob:
        """Keep data, whether the run is known yet or not; the same data again changes nothing.

        Args:
            run_id: the run.
            data: the data.
            hash: its SHA-256 in hexadecimal digits, where that is known.

        Each statement is a transaction of its own: a blob is whole once this has returned, so
        what refers to it is written after that.
        """
        view = memoryview(data)
        name = await _hash_of(view) if hash is None else hash
        places = range(0, max(len(view), 1), CHUNK)
        for first in range(0, len(places), CHUNKS):
            chunks = [bytes(view[at : at + CHUNK]) for at in places[first : first + CHUNKS]]
            await self._write(run_id, name, first, chunks)
        return Blob(name, len(view))

    async def get(self, run_id: str, hash: str) -> bytes:
        """Return data that was put.

        Raises:
            BlobNotFoundError: the run has none of this hash, or not the whole of it.
        """
        chunks: list[bytes] = []
        while len(more := await self._read(run_id, hash, len(chunks))) == CHUNKS:
            chunks += more
        chunks += more
        digest = sha256()
        for chunk in chunks:
            digest.update(chunk)
        if not chunks or digest.hexdigest() != hash:
            raise no_blob(run_id, hash)
        return b"".join(chunks)

    @abstractmethod
    async def drop(self, run_id: str, hashes: Sequence[str]) -> None:
        """Delete data of a run that nobody needs any more."""

    @abstractmethod
    async def _write(self, run_id: str, hash: str, first: int, chunks: Sequence[bytes]) -> None:
        """Write chunks, numbered from ``first`` on; those that are there stay as they are."""

    @abstractmethod
    async def _read(self, run_id: str, hash: str, first: int) -> list[bytes]:
        """Return :data:`CHUNKS` chunks from the number ``first`` on, or those that there are."""


async def _hash_of(view: memoryview) -> str:
    digest = sha256()
    for begin in range(0, len(view), CHUNK * CHUNKS):
        digest.update(view[begin : begin + CHUNK * CHUNKS])
        await asyncio.sleep(0)  # It takes milliseconds, for which others need not wait.
    return digest.hexdigest()


def no_blob(run_id: str, hash: str) -> BlobNotFoundError:
    """Return the error for a blob that a run does not have."""
    return BlobNotFoundError(
        f"The blob {hash!r:.70} of run {run_id!r} is not there, or not whole. It is deleted with "
        "its run; a copy of the run's messages does not keep it."
    )
