"""Words that must stand near a number before it is believed, such as "call" near a telephone number."""

import re
from functools import lru_cache

NEAR = 64  # characters in which a context word counts
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


@lru_cache(maxsize=256)
def near(words: tuple[str, ...]) -> re.Pattern[str]:
    """Compile context words, in the plural too; scripts that write no blanks get no word ends, nor does what ends in a sign."""
    spaced = [re.escape(word) for word in words if word[0] < "\u0e00" and word[-1].isalnum()]
    others = [re.escape(word) for word in words if word[0] >= "\u0e00"]
    signs = [re.escape(word) for word in words if word[0] < "\u0e00" and not word[-1].isalnum()]
    parts = [rf"(?<![^\W_])(?:{'|'.join(spaced)})s?(?![^\W_])"] if spaced else []
    parts += [rf"(?<![^\W_])(?:{'|'.join(signs)})"] if signs else []
    return re.compile("|".join(parts + others), re.IGNORECASE)


def said(words: tuple[str, ...], text: str, start: int, end: int) -> bool:
    """Tell whether one of the words ends in the 64 characters before a stretch, or begins in the 64 after it.

    A word counts as it stands in the text: "ext" at the border of "text" is none.
    """
    search = near(words).search
    if search(text, max(0, start - NEAR), start):
        return True
    after = search(text[end : end + 2 * NEAR])
    return after is not None and after.start() <= NEAR


def spoken(hint: str) -> str:
    """Write a column's name as words: customerPhone and customer_phone both say phone."""
    return _CAMEL.sub(" ", hint).replace("_", " ")
