"""How the odds of live over training would read for other samples: drawn again, or with no drift between them."""

import numpy as np
from scipy.linalg import cho_solve

from custody.monitoring.shift.logistic import curvature, refit, slope_of
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
    """Deal the rows of each fold to the two sides at random, so many times: which are live, shape (N, times), 0 or 1."""
    found = np.repeat(pool.live[:, None].astype(np.float64), times, axis=1)
    for fold in range(FOLDS):
        rows = pool.folds == fold
        found[rows] = rng.permuted(found[rows], axis=0)
    return found


def without_drift(ratio: Ratio, live: Floats) -> Floats:
    """Return the log odds out of fold if the rows had been dealt at random, live (N, b), each with its own penalty, chosen alike.

    One Newton step from "knows nothing", close where there is nothing to know; shape (N, b).
    """
    matrix, folds, base = ratio.encoding.paired(()).matrix(ratio.pool), ratio.pool.folds, ratio.pool.weights[:, None]
    half = len(live) / 2
    weights = base * np.where(live > 0, half / (base * live).sum(axis=0), half / (base * (1 - live)).sum(axis=0))
    best, least, going = np.zeros_like(live), np.full(live.shape[1], np.inf), np.ones(live.shape[1], dtype=np.bool_)
    for penalty in PENALTIES:
        ridge = ridge_of(penalty, ratio.encoding.smooth)
        kept = [folds != fold for fold in range(FOLDS)]
        betas = [_one_step(matrix[rows], live[rows], weights[rows], ridge) for rows in kept]
        scores = out_of_fold(matrix, np.array(betas), folds)
        losses = (weights * (np.logaddexp(0, scores) - live * scores)).sum(axis=0)
        going &= losses < least
        best[:, going], least = scores[:, going], np.where(going, losses, least)
    return on_line(line_of(best, live, weights), best)


def _one_step(matrix: Floats, live: Floats, weights: Floats, ridge: Floats) -> Floats:
    start = np.zeros((matrix.shape[1], live.shape[1]))
    factor = curvature(matrix, weights.mean(axis=1), ridge, start[:, 0])
    step: Floats = cho_solve(factor, slope_of(matrix, live, weights, ridge, start))
    return -step
