"""Texts, so many at a time as a library takes best."""

from collections.abc import Iterator, Sequence


def batches(texts: Sequence[str], size: int, count: int) -> Iterator[Sequence[str]]:
    """Yield texts in order, at most `count` and `size` characters at a time; a longer one comes alone."""
    start = total = 0
    for end, text in enumerate(texts):
        if end > start and (total + len(text) > size or end - start == count):
            yield texts[start:end]
            start, total = end, 0
        total += len(text)
    if start < len(texts):
        yield texts[start:]
