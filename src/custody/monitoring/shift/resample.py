"""How the odds of live over training would read for other samples: drawn again, or with no drift between them."""

import numpy as np
from scipy.linalg import solve

from custody.monitoring.shift.logistic import curvature, refit
from custody.monitoring.shift.pool import FOLDS, Pool
from custody.monitoring.shift.ratio import PENALTIES, Ratio, line_of, on_line, out_of_fold, ridge_of
from custody.monitoring.shift.rows import Floats


def drawn(pool: Pool, times: int, rng: np.random.Generator) -> Floats:
    """Draw both samples again so many times, with replacement: how often each row was drawn, shape (N, times)."""
    found = np.empty((len(pool.live), times))
    for side in (pool.live, ~pool.live):
        found[side] = rng.multinomial(side.sum(), np.full(side.sum(), 1 / side.sum()), size=times).T
    return found


def resampled(ratio: Ratio, counts: Floats) -> Floats:
    """Fit the classifier again on samples drawn anew, counts (N, b); return the log odds out of fold, shape (N, b).

    A row keeps its fold however often it was drawn. Cells, penalty and pair cells are those of the first fit.
    """
    pool, labels, folds = ratio.pool, ratio.pool.live.astype(np.float64), ratio.pool.folds
    weights = ratio.weights[:, None] * counts
    for side in (pool.live, ~pool.live):
        weights[side] *= len(labels) / 2 / np.maximum(weights[side].sum(axis=0), 1e-300)
    betas = []
    for fold, beta in enumerate(ratio.betas):
        rows = folds != fold
        factor = curvature(ratio.design[rows], ratio.weights[rows], ratio.ridge, beta)
        betas.append(refit(ratio.design[rows], labels[rows], weights[rows], ratio.ridge, start=beta, factor=factor))
    scores = out_of_fold(ratio.design, np.array(betas), folds)
    return on_line(line_of(scores, labels[:, None], weights), scores)


def shuffled(pool: Pool, times: int, rng: np.random.Generator) -> Floats:
    """Deal the rows to the two sides at random, so many times: which are live, shape (N, times), 0 or 1."""
    return np.array([rng.permutation(pool.live) for _ in range(times)], dtype=np.float64).T


def without_drift(ratio: Ratio, live: Floats) -> Floats:
    """Return the log odds out of fold if the rows had been dealt at random, live (N, b), each with its own best penalty.

    One Newton step from "knows nothing", close where there is nothing to know; shape (N, b).
    """
    smooth = ratio.encoding.smooth
    matrix, folds, base = ratio.design[:, : len(smooth)], ratio.pool.folds, ratio.pool.weights[:, None]
    half = len(live) / 2
    weights = base * np.where(live > 0, half / (base * live).sum(axis=0), half / (base * (1 - live)).sum(axis=0))
    kept = [folds != fold for fold in range(FOLDS)]
    slopes = [matrix[rows].T @ (weights[rows] * (live[rows] - 0.5)) for rows in kept]
    bends = [(matrix[rows] * (base[rows] / 4)).T @ matrix[rows] for rows in kept]
    best, least = np.zeros_like(live), np.full(live.shape[1], np.inf)
    for penalty in PENALTIES:
        ridge = np.diag(ridge_of(penalty, smooth))
        betas = [solve(bend + ridge, slope, assume_a="pos") for bend, slope in zip(bends, slopes, strict=True)]
        scores = out_of_fold(matrix, np.array(betas), folds)
        losses = (weights * (np.logaddexp(0, scores) - live * scores)).sum(axis=0)
        better = losses < least
        best[:, better], least = scores[:, better], np.minimum(losses, least)
    return on_line(line_of(best, live, weights), best)
