"""Weights under which a label no longer depends on a group of people, for training."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from custody.core.errors import InvalidInput

WEIGHT = "custody_weight"  # the column that carries them


def weights(groups: Sequence[str], labels: Sequence[str]) -> NDArray[np.float64]:
    """Return a weight for each row, shape (n,), above 0: the chance of its group and label if they were independent, over the observed one.

    Weighted, each group has every label as often as all rows together have it; the weights of a group, and of a label, sum to
    its rows. groups, labels: n values each; a missing value is a value of its own. Of nothing, nothing.
    Raises: InvalidInput if the lengths differ.
    Source: Kamiran and Calders 2012, Data preprocessing techniques for classification without discrimination, section 4.2
    (reweighing): W(s, c) = |S = s| * |C = c| / (|D| * |S = s, C = c|).

    >>> weights(["a", "a", "a", "b"], ["yes", "yes", "no", "no"]).round(3).tolist()
    [0.75, 0.75, 1.5, 0.5]
    """
    if len(groups) != len(labels):
        raise InvalidInput(f"There are {len(groups)} groups for {len(labels)} labels.")
    if not len(groups):
        return np.empty(0)
    _, s = np.unique(np.array(groups, dtype=str), return_inverse=True)
    _, c = np.unique(np.array(labels, dtype=str), return_inverse=True)
    both = np.zeros((s.max() + 1, c.max() + 1))
    np.add.at(both, (s, c), 1)
    expected = both.sum(axis=1)[s] * both.sum(axis=0)[c] / len(s)
    made: NDArray[np.float64] = expected / both[s, c]
    return made
