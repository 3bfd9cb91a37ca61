"""Where a text is cut, so that each chunk is something that can be found and understood."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from kern.errors import ConfigurationError
from kern.run.numbers import check_count

# Where a chunk may end, the best first: before a heading, after a paragraph, a line, a sentence, a
# word.
_ENDS = (
    re.compile(r"\n(?=#{1,6} )"),
    re.compile(r"\n[ \t]*\n\s*"),
    re.compile(r"\n"),
    re.compile(r"[.!?…。！？][\"'”’)\]]*\s+|[。！？]"),
    re.compile(r"\s+"),
)
# Where the next chunk may begin in what it repeats: with a line or sentence, or else a word.
_BEGINS = _ENDS[2:]


@dataclass(frozen=True, slots=True)
class Chunking:
    r"""How texts are cut into chunks, which are embedded and found one by one.

    A chunk ends before a heading of Markdown, or where a paragraph ends, else a line, else a
    sentence, else a word, as late as it can; so two paragraphs that fit stand together. What is
    longer than that is cut anywhere.

    Attributes:
        size: how many characters a chunk has at most.
        overlap: how many of them at most are repeated at the beginning of the next, so that what
            stands across the cut is found as well; 0 for none.

    Raises:
        ConfigurationError: a size is below 1, or the overlap is more than half of it.

    Example:
        >>> list(Chunking(size=30, overlap=0).chunks("Oaks are old. Ferns are older.\n\nMoss."))
        ['Oaks are old.', 'Ferns are older.\n\nMoss.']
        >>> list(Chunking(size=31, overlap=15).chunks("Oaks are old.\nFerns are older.\nMoss."))
        ['Oaks are old.\nFerns are older.', 'are older.\nMoss.']
    """

    size: int = 1200
    overlap: int = 150

    def __post_init__(self) -> None:
        check_count("size", self.size, ConfigurationError)
        check_count("overlap", self.overlap, ConfigurationError, least=0)
        if self.overlap > self.size // 2:
            raise ConfigurationError(
                f"overlap={self.overlap} is more than half of size={self.size}: chunks would "
                "hardly go on. Take a tenth of the size."
            )

    def chunks(self, text: str) -> Iterator[str]:
        """Yield the chunks of a text, in order; none is empty.

        Args:
            text: any text.
        """
        begin, end = 0, 0
        while end < len(text):
            end = self._end(text, begin, end)
            if chunk := text[begin:end].strip():
                yield chunk
            begin = self._begin(text, begin, end)

    def _end(self, text: str, begin: int, done: int) -> int:
        """Return where the chunk ends that begins there; it goes on beyond what is done."""
        limit = begin + self.size
        if limit >= len(text):
            return len(text)
        least = max(done + 1, begin + self.size // 3)
        for pattern in _ENDS:
            ends = [each.end() for each in pattern.finditer(text, least - 1, limit + 1)]
            found = [end for end in ends if least <= end <= limit]
            if found:
                return found[-1]
        return limit

    def _begin(self, text: str, begin: int, end: int) -> int:
        """Return where the chunk after one begins, some of which it may repeat."""
        earliest = max(end - self.overlap, begin + 1)
        for pattern in _BEGINS if earliest < end else ():
            found = pattern.search(text, earliest, end)
            if found and found.end() < end:
                return found.end()
        return end
