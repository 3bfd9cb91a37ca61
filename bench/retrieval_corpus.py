"""What is searched: the documentation of Python, and the questions that its own FAQ answers.

Debian ships its sources (``apt-get install python3-doc``, or ``apt-get download python3.11-doc``
and ``dpkg -x``). Every question is a heading of the FAQ; what it is answered with stands below it
and is kept without its heading, among everything else that the documentation says.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

CHARACTERS = 1000

PARTS = ("faq", "reference", "tutorial", "using")

_HEADING = re.compile(r"^(\S.*)\n([=\-~^\"*#'+`])\2{2,}[ ]*$", re.MULTILINE)
_ROLE = re.compile(r":[\w:+.-]+:`~?!?\.?([^`<]*?)(?:\s*<[^`>]*>)?`")
_LINK = re.compile(r"`([^`<]+?)\s*<[^`>]*>`_+")
_DIRECTIVE = re.compile(r"^\s*\.\. (?!code|note|warning|seealso)[^\n]*$", re.MULTILINE)


class Chunk(NamedTuple):
    """A piece of the documentation.

    Attributes:
        section: the section that it is a part of.
        page: the page that has the section.
        text: what it says.
    """

    section: str
    page: str
    text: str


class Question(NamedTuple):
    """A question, and the sections that answer it."""

    text: str
    sections: tuple[str, ...]


def read(sources: Path) -> tuple[list[Chunk], list[Question]]:
    """Return the chunks of all pages, and the questions.

    Args:
        sources: the directory ``html/_sources``.
    """
    chunks: list[Chunk] = []
    asked: dict[str, list[str]] = {}
    for file in sorted(sources.rglob("*.rst.txt")):
        page = str(file.relative_to(sources)).removesuffix(".rst.txt")
        if not page.startswith(PARTS):
            continue
        is_faq = page.startswith("faq/")
        for number, (heading, body) in enumerate(_sections(file.read_text())):
            section = f"{page}#{number}"
            is_question = is_faq and heading.endswith("?")
            text = _plain(body)
            if is_question and text:
                asked.setdefault(_plain(heading), []).append(section)
            elif heading:
                text = f"{_plain(heading)}\n\n{text}"
            chunks += [Chunk(section, page, each) for each in _chunked(text)]
    return chunks, [Question(text, (*found,)) for text, found in asked.items()]


def _sections(text: str) -> Iterator[tuple[str, str]]:
    parts = _HEADING.split(text)
    yield "", parts[0]
    for heading, body in zip(parts[1::3], parts[3::3], strict=True):
        yield heading.strip(), body


def _plain(text: str) -> str:
    text = _DIRECTIVE.sub("", text)
    text = _LINK.sub(r"\1", _ROLE.sub(r"\1", text))
    return re.sub(r"\n{3,}", "\n\n", text.replace("``", "")).strip()


def _chunked(text: str) -> Iterator[str]:
    """Yield paragraphs, as many together as are CHARACTERS long."""
    chunk = ""
    for paragraph in re.split(r"\n\s*\n", text):
        paragraph = paragraph.strip()
        while len(paragraph) > CHARACTERS:
            cut = paragraph.rfind("\n", 1, CHARACTERS)
            cut = cut if cut > 0 else CHARACTERS
            if chunk:
                yield chunk
                chunk = ""
            yield paragraph[:cut]
            paragraph = paragraph[cut:].strip()
        if chunk and len(chunk) + len(paragraph) > CHARACTERS:
            yield chunk
            chunk = ""
        chunk = f"{chunk}\n\n{paragraph}" if chunk and paragraph else chunk or paragraph
    if chunk:
        yield chunk
