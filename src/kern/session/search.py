"""What a user's past sessions were about, told in few words."""

import json
import re
from collections.abc import Sequence

PREVIEW = 200
"""How many characters of a question, or an answer, are shown."""

_TEXT = re.compile(
    r'"content":(?:\[\{[^"\[{}]*"type":"text","text":)?"((?:[^"\\]|\\u[0-9a-fA-F]{4}|\\[^u])*)'
)
_VALUE = re.compile(r'"content":([\[{\d].*)', re.DOTALL)


def beginning_of(text: str, most: int = PREVIEW) -> str:
    """Return how the content begins in the first characters of a run's input or output.

    Args:
        text: the beginning of JSON text, which may end anywhere.
        most: how many characters at most.
    """
    if found := _TEXT.search(text):
        try:
            return shortened(json.loads(f'"{found[1]}"', strict=False), most)
        except ValueError:  # It is damaged.
            return ""
    found = _VALUE.search(text)
    return shortened(found[1], most) if found else ""


def shortened(text: str, most: int) -> str:
    """Return the beginning of a text, with an ellipsis where more of it follows."""
    return text if len(text) <= most else text[: most - 1] + "…"


def previews_of(runs: Sequence[tuple[str, str]]) -> list[dict[str, str]]:
    """Return the questions and answers of runs, of whose JSON texts there is the beginning."""
    return [
        {"question": beginning_of(asked), "answer": beginning_of(answered)}
        for asked, answered in runs
    ]
