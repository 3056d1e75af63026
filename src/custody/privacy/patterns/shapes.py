r"""Pieces that the pack's regexes share.

`\s` and `\b` are not used: engines disagree on them. Repeats are possessive or bounded, so no text can make `re` try for long.
"""

import unicodedata

DASHES = "\u00ad\u2010\u2011\u2012\u2013\u2014\u2015\u2212"
BLANKS = " \t\u00a0\u2000-\u200d\u2060\u202f\u205f\u3000\ufeff"
GAP = f"[-{DASHES}{BLANKS}]"  # between groups of a number
GAPS = f"(?:[-.{DASHES}{BLANKS}]|\r?\n)"  # the same, or a dot or a line break
BREAK = f"(?:{GAP}{{0,3}}+(?:\r?\n{GAP}{{0,16}}+)?+)"  # may be nothing; long numbers wrap, and the next line is indented
START, END = r"(?<![^\W_])", r"(?![^\W_])"  # no letter or digit before, after; an underscore is allowed
CAPITAL = "(?:[A-Z\u00c0-\u00de\u0130-\u0178\u0386-\u03ab\u0400-\u042f])"


def ascii_digits(text: str) -> str:
    """Write every decimal digit of any script as 0-9; the length stays."""
    if text.isascii():
        return text
    return "".join(str(unicodedata.decimal(c)) if c.isdecimal() else c for c in text)


def compact(text: str) -> str:
    """Keep letters and digits, digits as 0-9."""
    return "".join(c for c in ascii_digits(text) if c.isalnum())


def digits_of(text: str) -> str:
    """Keep the digits, as 0-9."""
    return "".join(c for c in ascii_digits(text) if "0" <= c <= "9")
