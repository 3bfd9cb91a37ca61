"""Files that kern has no reader for, and chunks of your own size."""

from collections.abc import Iterator
from pathlib import Path

from kern.knowledge import Chunking, Knowledge, Part, Reader
from kern.vectordb.sqlite import SqliteVec


class Subtitles(Reader):
    """Reads what is said in a film, with the moment at which it is said."""

    suffixes = (".srt",)

    def read(self, path: Path) -> Iterator[Part]:
        """Yield what is said, one after the other."""
        for block in path.read_text().strip().split("\n\n"):
            _, time, text = block.split("\n", 2)
            yield Part(text, {"at": time.partition(" ")[0]})


films = Knowledge(
    name="films",
    vector_db=SqliteVec(":memory:"),
    readers=[Subtitles()],
    chunking=Chunking(size=300, overlap=0),
)

FILM = """1
00:00:07,000 --> 00:00:09,000
The fern is dead.

2
00:01:30,000 --> 00:01:33,000
It was the gardener, with the watering can.
"""

if __name__ == "__main__":
    Path("tmp").mkdir(exist_ok=True)
    film = Path("tmp/film.srt")
    film.write_text(FILM)
    films.insert(path=film)
    for found in films.search("Who was it? The gardener?", max_results=1):
        print(found.meta_data["at"], found.content)
