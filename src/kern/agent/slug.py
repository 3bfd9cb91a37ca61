"""The id that an agent's name makes."""

import re
from functools import lru_cache
from unicodedata import category, normalize


@lru_cache  # Code that makes an agent for each request gives it the same name.
def slug(name: str) -> str:
    """Return the id that a name makes: what separates its words becomes a dash.

    However the characters are composed, it is the same. Names that differ in a letter, a mark, a
    digit or a symbol make different ids; one that has none of these is its own id.
    """
    composed = normalize("NFC", normalize("NFC", name).lower())
    words = "".join(each if _is_of_word(each) else "-" for each in composed)
    return re.sub("-+", "-", words).strip("-") or name.strip() or "agent"


def _is_of_word(character: str) -> bool:
    if character.isascii():
        return character.isalnum() or character in "_+#"
    return category(character)[0] in "LMNS" or character in _JOINERS


# They tell words of Persian and Hindi apart, and make one picture of several.
_JOINERS = "\u200c\u200d"
