"""Recall that was measured on a labelled set, with its interval; quoted with n or not at all."""

from collections.abc import Mapping
from dataclasses import dataclass

from scipy.special import betaincinv

from custody.core.digest import Digest
from custody.core.errors import InvalidInput


def clopper_pearson(hits: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Bound a share of hits in n trials, both in 0..1; the interval covers at least as often as it says, at any n.

    n = 0 says nothing: (0, 1). 16 of 16 gives a lower bound near 0.79, which is why no share is printed without n.
    Source: Clopper and Pearson 1934.

    >>> [round(bound, 3) for bound in clopper_pearson(16, 16)]
    [0.794, 1.0]
    """
    if not 0 <= hits <= n or not 0 < confidence < 1:
        raise InvalidInput(f"{hits} of {n} cannot be bounded with confidence {confidence}.")
    if n == 0:
        return 0.0, 1.0
    tail = (1 - confidence) / 2
    low = float(betaincinv(hits, n - hits + 1, tail)) if hits else 0.0
    high = float(betaincinv(hits + 1, n - hits, 1 - tail)) if hits < n else 1.0
    return low, high


@dataclass(frozen=True, slots=True)
class Recall:
    """On a labelled set, so many of n gold spans of a type were covered in full, whatever type they were called.

    pack: digest of the pattern pack that was measured.
    """

    type: str
    hits: int
    n: int
    labelled_set: str
    pack: Digest

    def __post_init__(self) -> None:
        clopper_pearson(self.hits, self.n)

    def __str__(self) -> str:
        low, high = clopper_pearson(self.hits, self.n)
        share = self.hits / self.n if self.n else 0.0
        return f"{self.type} {share:.3f} [{low:.3f}, {high:.3f}] (n = {self.n})"


def recalls(labelled_set: str, pack: Digest, counts: Mapping[str, tuple[int, int]]) -> tuple[Recall, ...]:
    """Make quotes of (hits, n) by type, in the order of their names."""
    return tuple(Recall(kind, hits, n, labelled_set, pack) for kind, (hits, n) in sorted(counts.items()))
