"""Files of records: CSV and JSON."""

import csv
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import ClassVar, cast

from kern.errors import ContentError
from kern.knowledge.readers.base import TOO_DEEP, Part, Reader

# How many records are a part; a chunk holds some of them.
_ROWS = 200


class CSVReader(Reader):
    """Reads tables: each row as lines of ``column: value``, after the names in the first row.

    Example:
        >>> CSVReader(delimiter=";").suffixes
        ('.csv', '.tsv')
    """

    suffixes: ClassVar[tuple[str, ...]] = (".csv", ".tsv")
    media_types: ClassVar[tuple[str, ...]] = ("text/csv", "text/tab-separated-values")

    def __init__(self, delimiter: str | None = None, encoding: str = "utf-8-sig") -> None:
        """Choose how values are parted.

        Args:
            delimiter: what stands between two values; by default a tab in ``.tsv``, else a comma.
            encoding: how characters are written.
        """
        self.delimiter = delimiter
        self.encoding = encoding

    def read(self, path: Path) -> Iterator[Part]:
        """See :meth:`Reader.read`."""
        delimiter = self.delimiter or ("\t" if path.suffix.lower() == ".tsv" else ",")
        try:
            with path.open(encoding=self.encoding, newline="") as file:
                rows = csv.reader(file, delimiter=delimiter)
                names = next(rows, [])
                yield from _parts("row", (_lines(names, row) for row in rows if row))
        except UnicodeDecodeError as error:
            raise ContentError(
                f"it is no text in {self.encoding} (at byte {error.start}): give "
                "readers=[CSVReader(encoding='cp1252')], or the encoding that it has"
            ) from None
        except csv.Error as error:
            raise ContentError(f"it is no table: {error}") from None


class JSONReader(Reader):
    """Reads JSON, and JSON Lines: each item of a list as a text, or what there is as one.

    Example:
        >>> JSONReader.suffixes
        ('.json', '.jsonl', '.ndjson')
    """

    suffixes: ClassVar[tuple[str, ...]] = (".json", ".jsonl", ".ndjson")
    media_types: ClassVar[tuple[str, ...]] = (
        "application/json",
        "application/x-ndjson",
        "application/jsonl",
    )

    def read(self, path: Path) -> Iterator[Part]:
        """See :meth:`Reader.read`."""
        try:
            if path.suffix.lower() in (".jsonl", ".ndjson"):
                with path.open(encoding="utf-8-sig") as file:
                    yield from _parts("item", map(_text, _items(file)))
                return
            text = path.read_text("utf-8-sig")
            try:
                found: object = json.loads(text)
            except json.JSONDecodeError as error:
                if not error.msg.startswith("Extra data"):
                    raise
                found = [*_items(text.split("\n"))]  # A server has not said that it is lines.
            items = cast("list[object]", found) if isinstance(found, list) else [found]
            yield from _parts("item", map(_text, items))
        except RecursionError:
            raise ContentError(TOO_DEEP) from None
        except ValueError as error:
            raise ContentError(f"it is no JSON: {error}") from None


def _items(lines: Iterable[str]) -> Iterator[object]:
    return (json.loads(line) for line in lines if line.strip())


def _lines(names: list[str], row: list[str]) -> str:
    """Return a row as lines; what stands beyond the names of the first row has none."""
    named = zip(names, row, strict=False)
    lines = [f"{name}: {text}" if name else text for name, text in named if text]
    beyond = [text for text in row[len(names) :] if text]
    return "\n".join([*lines, *([", ".join(beyond)] if beyond else ())])


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        known = cast("dict[str, object]", value)
        items = [(key, each) for key, each in known.items() if each is not None]
        if not any(isinstance(each, dict | list) for _, each in items):
            return "\n".join([f"{key}: {each}" for key, each in items])
    return json.dumps(value, ensure_ascii=False, indent=1)


def _parts(kind: str, texts: Iterable[str]) -> Iterator[Part]:
    """Yield texts, several a part, with empty lines between; the part says where it begins."""
    gathered: list[str] = []
    length = number = 0
    for number, text in enumerate(texts, 1):
        gathered.append(text)
        length += len(text)
        if len(gathered) == _ROWS or length > 1_000_000:
            yield Part("\n\n".join(gathered), {f"from_{kind}": number - len(gathered) + 1})
            gathered, length = [], 0
    if gathered:
        yield Part("\n\n".join(gathered), {f"from_{kind}": number - len(gathered) + 1})
