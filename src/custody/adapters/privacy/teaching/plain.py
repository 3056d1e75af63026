"""Sentences about nobody: what the standard library says of itself, which every Python has."""

import ast
import re
import sysconfig
from collections.abc import Iterator
from functools import cache
from pathlib import Path

_SENTENCE = re.compile(r"[A-Z][^.!?\n]{15,160}[.!?](?=\s|$)")
_CODE = re.compile(r"[{}<>\[\]=_*`|]|\(\)")
MOST = 6_000


@cache
def plain_sentences() -> tuple[str, ...]:
    """Return up to 6000 different sentences of documentation, in a fixed order, without code."""
    folder = Path(sysconfig.get_paths()["stdlib"])
    found: dict[str, None] = {}
    for file in (folder / "pydoc_data" / "topics.py", *sorted(folder.glob("*.py")), *sorted(folder.glob("*/*.py"))):
        for text in _strings(file):
            unwrapped = re.sub(r"(?<=\S)\n[ \t]*(?=\S)", " ", text)
            found.update(dict.fromkeys(one for one in _SENTENCE.findall(unwrapped) if not _CODE.search(one)))
        if len(found) >= MOST:
            break
    return tuple(found)[:MOST]


def _strings(file: Path) -> Iterator[str]:
    """Yield the strings of a module that are long enough to be prose."""
    try:
        tree = ast.parse(file.read_text(encoding="utf-8"))
    except (OSError, SyntaxError, UnicodeDecodeError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and len(node.value) > 200:
            yield node.value
