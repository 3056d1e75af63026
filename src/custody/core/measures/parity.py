"""How a converted model differs from its original on the same rows."""

import numpy as np
from numpy.typing import ArrayLike

from custody.core.errors import InvalidInput
from custody.core.evidence import Parity


def parity(original: ArrayLike, converted: ArrayLike, threshold: float) -> Parity:
    """Compare two models' scores of the positive class on the same rows, both shape (n,), n >= 1.

    A converted score that is not a finite number differs by 1, the most a score can, and decides "no".
    Raises: InvalidInput if the shapes differ, there is no row, or an original score is not finite.

    >>> parity([0.2, 0.7], [0.2, 0.4], threshold=0.5).flips
    1
    """
    before, after = np.asarray(original, dtype=np.float64), np.asarray(converted, dtype=np.float64)
    if before.shape != after.shape or before.ndim != 1 or not before.size or not np.isfinite(before).all():
        raise InvalidInput(
            "The scores of the original and the converted model cannot be compared.",
            why="Both need the same number of rows, at least one, and the original's scores must be finite.",
            facts={"original": str(before.shape), "converted": str(after.shape)},
        )
    finite = np.isfinite(after)
    gaps = np.where(finite, np.abs(before - np.where(finite, after, 0)), 1.0)
    return Parity(
        rows=before.size,
        largest_difference=float(gaps.max()),
        mean_difference=float(gaps.mean()),
        threshold=threshold,
        flips=int(((before >= threshold) != (finite & (after >= threshold))).sum()),
        nearest=float(np.abs(before - threshold).min()),
    )
