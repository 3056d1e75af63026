"""What a row's numbers are expected to be from its columns, on one side: ridge regression out of fold."""

import numpy as np

from custody.monitoring.shift.pool import FOLDS
from custody.monitoring.shift.ratio import PENALTIES, Ratio, ridge_of
from custody.monitoring.shift.rows import Flags, Floats


def expected(ratio: Ratio, targets: Floats, rows: Flags, weights: Floats) -> Floats:
    """Predict targets (N, t) of all rows from fits to some rows without the predicted row's fold, shape (N, t).

    weights: of the fit, shape (N,). Each target has its own penalty, that of 1000, 100, 10, 1 with the least error out of fold.
    Source: Hoerl and Kennard 1970.
    """
    design, folds = ratio.design, ratio.pool.folds
    parts = [rows & (folds == fold) for fold in range(FOLDS)]
    weights = weights * rows.sum() / weights[rows].sum()
    products = np.array([(design[part] * weights[part, None]).T @ design[part] for part in parts])
    sums = np.array([design[part].T @ (weights[part, None] * targets[part]) for part in parts])
    best, least = np.zeros_like(targets), np.full(targets.shape[1], np.inf)
    for penalty in PENALTIES:
        ridge = np.diag(ridge_of(penalty, ratio.encoding.smooth, len(ratio.encoding.pairs)))
        betas = np.linalg.solve(products.sum(axis=0) - products + ridge, sums.sum(axis=0) - sums)
        found = np.empty_like(targets)
        for fold, beta in enumerate(betas):
            found[folds == fold] = design[folds == fold] @ beta
        losses = weights[rows] @ (targets[rows] - found[rows]) ** 2
        better = losses < least
        best[:, better], least = found[:, better], np.minimum(losses, least)
    return best
