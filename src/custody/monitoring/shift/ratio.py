"""How much denser live rows are than training rows where a row is: the odds of a classifier that tells them apart.

Both sides weigh the same, so the odds are the ratio of densities, live over training. Each row's odds come from a fit without
its fold, so what the classifier learned by heart about a row says nothing about it.
Source: Bickel, Brueckner and Scheffer 2009; Sugiyama, Suzuki and Kanamori 2012, chapter 4 (density ratio by probabilistic
classification).
"""

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy.special import expit, ndtri

from custody.monitoring.shift.grid import Axis, design, grid_of
from custody.monitoring.shift.logistic import fit
from custody.monitoring.shift.pool import FOLDS, Counts, Flags, Floats, Pool

COLUMNS, BINS, LEVELS = 128, 8, 12
PENALTIES = (1000.0, 100.0, 10.0, 1.0)
PAIRS, PAIR_PENALTY, PAIR_ALPHA, PAIR_ROWS = 32, 0.5, 0.01, 10.0
CONSTANT = 1e-6  # the penalty of the constant: none, but for numerical safety
CALIBRATION_STEPS = 8
REACH = 30.0  # log odds beyond say no more


@dataclass(frozen=True, slots=True, eq=False)
class Ratio:
    """The classifier and its odds.

    design: shape (N, d). weights: of the fit, each side half of N. ridge: penalty of each column, shape (d,). betas: one fit
    without each fold, shape (5, d). scores: log odds of being live of each row, by the fit without its fold, calibrated, shape (N,).
    smooth: which columns are a number's value; pair cells follow after. left_out: columns of the samples that had no room in the design.
    """

    pool: Pool
    design: Floats
    weights: Floats
    ridge: Floats
    betas: Floats
    scores: Floats
    smooth: Flags
    left_out: int


def balanced(pool: Pool) -> Floats:
    """Return the rows' weights with half of N on each side."""
    half = len(pool.live) / 2
    live = pool.weights[pool.live].sum()
    return pool.weights * np.where(pool.live, half / live, half / (pool.weights.sum() - live))


def _axes(pool: Pool) -> tuple[list[tuple[int, Axis]], int]:
    """Choose the columns to look at, and their cells: all if there is room, else those that differ most in the cutting rows."""
    room = max(COLUMNS // max(len(pool.specs), 1) - 1, 3)
    axes = list(enumerate(grid_of(pool, bins=min(BINS, room), levels=min(LEVELS, room))))
    kept = COLUMNS // (room + 1)
    if len(axes) <= kept:
        return axes, 0
    cutting = pool.taken(pool.cutting)
    differing = [-_differing(cutting, place, axis) for place, axis in axes]
    return [axes[place] for place in sorted(np.argsort(differing, kind="stable")[:kept].tolist())], len(axes) - kept


def _differing(pool: Pool, place: int, axis: Axis) -> float:
    cells = axis.cells(pool.values[place])
    first, second = (np.bincount(cells[side], pool.weights[side], axis.size) / side.sum() for side in (~pool.live, pool.live))
    return float(((first - second) ** 2 / np.maximum(first + second, 1e-12)).sum() / (axis.size - 1))


def out_of_fold(design: Floats, betas: Floats, folds: Counts) -> Floats:
    """Return the rows' scores by the fit without their fold: betas (5, d) or (5, d, b), scores (N,) or (N, b)."""
    found = np.zeros((len(design), *betas.shape[2:]))
    for fold, beta in enumerate(betas):
        found[folds == fold] = design[folds == fold] @ beta
    return np.clip(found, -REACH, REACH)


def mean_loss(scores: Floats, labels: Floats, weights: Floats) -> float:
    """Return the weighted mean of log(1 + e^s) - y s, nats; ln 2 = knows nothing."""
    return float(weights @ (np.logaddexp(0, scores) - labels * scores) / weights.sum())


def calibrated(scores: Floats, labels: Floats, weights: Floats) -> Floats:
    """Stretch log odds out of fold so that they predict best, all (N, b): the penalty has drawn them towards 0.

    For each of the b, a constant and a slope by Newton's method; the slope is drawn to 1 by a penalty of 1, which matters
    only where there is nothing to know. Source: Platt 2000 (scaling on held-out scores).
    """
    constant, slope = np.zeros(scores.shape[1]), np.ones(scores.shape[1])
    for _ in range(CALIBRATION_STEPS):
        chance = expit(constant + slope * scores)
        errors, bends = weights * (chance - labels), weights * chance * (1 - chance)
        first, second = errors.sum(axis=0), (errors * scores).sum(axis=0) + slope - 1
        a, b, c = bends.sum(axis=0) + CONSTANT, (bends * scores).sum(axis=0), (bends * scores**2).sum(axis=0) + 1
        determinant = np.maximum(a * c - b * b, CONSTANT)
        constant = constant - np.clip((c * first - b * second) / determinant, -1, 1)
        slope = np.maximum(slope - np.clip((a * second - b * first) / determinant, -0.5, 0.5), 0.0)
    return np.clip(constant + slope * scores, -REACH, REACH)


def _calibrated(scores: Floats, labels: Floats, weights: Floats) -> Floats:
    return calibrated(scores[:, None], labels[:, None], weights[:, None])[:, 0]


def _fits(pool: Pool, matrix: Floats, weights: Floats, ridge: Floats, start: Floats | None) -> Floats:
    labels, folds = pool.live.astype(np.float64), pool.folds
    whole = fit(matrix, labels, weights, ridge, start=start)
    kept = [folds != fold for fold in range(FOLDS)]
    return np.array([whole, *(fit(matrix[rows], labels[rows], weights[rows], ridge, start=whole) for rows in kept)])


def ridge_of(penalty: float, smooth: Flags, pairs: int = 0) -> Floats:
    """Return each column's penalty: none of the constant, a tenth for a number's value, little for a pair cell."""
    found = np.where(smooth, penalty / 10, penalty)
    found[0] = CONSTANT
    return np.append(found, np.full(pairs, min(penalty, PAIR_PENALTY)))


def _penalised(pool: Pool, matrix: Floats, weights: Floats, smooth: Flags) -> tuple[float, Floats, Floats]:
    """Choose the penalty by the loss out of fold, from the largest down until it is no better."""
    labels, start = pool.live.astype(np.float64), None
    best = (np.inf, 0.0, np.empty(0), np.empty(0))
    for penalty in PENALTIES:
        betas = _fits(pool, matrix, weights, ridge_of(penalty, smooth), start)
        scores, start = out_of_fold(matrix, betas[1:], pool.folds), betas[0]
        loss = mean_loss(scores, labels, weights)
        if loss >= best[0]:
            break
        best = (loss, penalty, betas[1:], scores)
    return best[1:]


def _misjudged(pool: Pool, axes: list[tuple[int, Axis]], scores: Floats, weights: Floats) -> list[Floats]:
    """Return the cells of pairs of columns, at most 32, whose rows a classifier surely takes for the wrong side, as 0 or 1.

    A score test of each cell, with Bonferroni's correction for all cells of all pairs.
    """
    chance = 1 / (1 + np.exp(-scores))
    residual, spread = weights * (pool.live - chance), weights**2 * chance * (1 - chance)
    cells = [axis.cells(pool.values[place]) for place, axis in axes]
    found: list[tuple[float, int, int, int]] = []
    looked = 0
    for i, j in combinations(range(len(axes)), 2):
        size = axes[i][1].size * axes[j][1].size
        code = cells[i] * axes[j][1].size + cells[j]
        many = np.bincount(code, chance * (1 - chance), size) >= PAIR_ROWS / 4
        z = np.bincount(code, residual, size) / np.sqrt(np.maximum(np.bincount(code, spread, size), 1e-12))
        looked += size
        found += [(-abs(float(z[cell])), i, j, int(cell)) for cell in np.flatnonzero(many & (np.abs(z) > 3))]
    needed = float(ndtri(PAIR_ALPHA / max(2 * looked, 1)))
    chosen = [one for one in sorted(found) if one[0] < needed][:PAIRS]
    return [(cells[i] * axes[j][1].size + cells[j] == cell).astype(np.float64) for _, i, j, cell in chosen]


def ratio_of(pool: Pool) -> Ratio:
    """Fit the classifier: cells and values of every column, and the cells of pairs of columns that these misjudge.

    The penalty is the one of 1000, 100, 10, 1 with the least loss out of fold. At most 128 columns and 32 pair cells.
    """
    axes, left_out = _axes(pool)
    (matrix, smooth), weights, labels = design(pool, axes), balanced(pool), pool.live.astype(np.float64)
    penalty, betas, scores = _penalised(pool, matrix, weights, smooth)
    ridge = ridge_of(penalty, smooth)
    if pairs := _misjudged(pool, axes, scores, weights):
        larger, wider = np.column_stack([matrix, *pairs]), ridge_of(penalty, smooth, len(pairs))
        more = _fits(pool, larger, weights, wider, None)[1:]
        after = out_of_fold(larger, more, pool.folds)
        if mean_loss(after, labels, weights) < mean_loss(scores, labels, weights):
            matrix, ridge, betas, scores = larger, wider, more, after
    return Ratio(pool, matrix, weights, ridge, betas, _calibrated(scores, labels, weights), smooth, left_out)
