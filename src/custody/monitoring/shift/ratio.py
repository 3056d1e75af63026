"""How much denser live rows are than training rows where a row is: the odds of a classifier that tells them apart.

Both sides weigh the same, so the odds are the ratio of densities, live over training. Each row's odds come from a fit without
its fold, so what the classifier learned by heart about a row says nothing about it.
Source: Bickel, Brueckner and Scheffer 2009; Sugiyama, Suzuki and Kanamori 2012, chapter 4 (density ratio by probabilistic
classification).
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import expit, ndtri

from custody.monitoring.shift.encoding import Encoding, Pair, encoding_of
from custody.monitoring.shift.logistic import fit
from custody.monitoring.shift.pool import FOLDS, Pool
from custody.monitoring.shift.rows import Counts, Flags, Floats

PENALTIES = (1000.0, 100.0, 10.0, 1.0)
ROUNDS, PAIRS, PAIR_PENALTY, PAIR_ALPHA, PAIR_ROWS = 2, 16, 0.5, 0.005, 10.0
CONSTANT = 1e-6  # the penalty of the constant: none, but for numerical safety
CALIBRATION_STEPS, TINY = 8, 1e-12
REACH = 30.0  # log odds beyond say no more


@dataclass(frozen=True, slots=True, eq=False)
class Ratio:
    """The classifier and its odds.

    design: shape (N, d). weights: of the fit, each side half of N. ridge: penalty of each column, shape (d,). betas: one fit
    without each fold, shape (5, d). scores: log odds of being live of each row, by the fit without its fold, calibrated by
    `line`, a constant and a slope; shape (N,).
    """

    pool: Pool
    encoding: Encoding
    design: Floats
    weights: Floats
    ridge: Floats
    betas: Floats
    line: Floats
    scores: Floats

    def scores_of(self, pool: Pool, rows: Counts) -> Floats:
        """Return the log odds of some rows, shape (k,) for rows (k,), of the samples that this one's pool is the first part of."""
        folds = pool.folds[rows]
        raw = out_of_fold(self.encoding.matrix(pool, rows), self.betas, folds)
        return on_line(self.line[:, None], raw[:, None])[:, 0]


def balanced(pool: Pool) -> Floats:
    """Return the rows' weights with half of N on each side."""
    half = len(pool.live) / 2
    live = pool.weights[pool.live].sum()
    found: Floats = pool.weights * np.where(pool.live, half / live, half / (pool.weights.sum() - live))
    return found


def out_of_fold(design: Floats, betas: Floats, folds: Counts) -> Floats:
    """Return the rows' scores by the fit without their fold: betas (5, d) or (5, d, b), scores (N,) or (N, b)."""
    found = np.zeros((len(design), *betas.shape[2:]))
    for fold, beta in enumerate(betas):
        found[folds == fold] = design[folds == fold] @ beta
    return found.clip(-REACH, REACH)


def mean_loss(scores: Floats, labels: Floats, weights: Floats) -> float:
    """Return the weighted mean of log(1 + e^s) - y s, nats; ln 2 = knows nothing."""
    return float(weights @ (np.logaddexp(0, scores) - labels * scores) / weights.sum())


def line_of(scores: Floats, labels: Floats, weights: Floats) -> Floats:
    """Return the constant and slope that make log odds out of fold predict best, all (N, b); shape (2, b).

    The penalty has drawn them towards 0. By Newton's method; the slope is drawn to 1 by a penalty of 1, which matters only
    where there is nothing to know. Source: Platt 2000 (scaling on held-out scores).
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
    return np.array([constant, slope])


def on_line(line: Floats, scores: Floats) -> Floats:
    """Return calibrated log odds, (N, b), within -30..30: line (2, b)."""
    found: Floats = np.clip(line[0] + line[1] * scores, -REACH, REACH)
    return found


def ridge_of(penalty: float, smooth: Flags, pairs: int = 0) -> Floats:
    """Return each column's penalty: none of the constant, a tenth for a number's value, little for a product."""
    found = np.where(smooth, penalty / 10, penalty)
    found[0] = CONSTANT
    return np.append(found, np.full(pairs, min(penalty, PAIR_PENALTY)))


def _fits(pool: Pool, matrix: Floats, weights: Floats, ridge: Floats, start: Floats | None = None) -> Floats:
    """Fit to all rows, then without each fold, shape (6, d)."""
    labels, folds = pool.live.astype(np.float64), pool.folds
    whole = fit(matrix, labels, weights, ridge, start=start)
    kept = [folds != fold for fold in range(FOLDS)]
    return np.array([whole, *(fit(matrix[rows], labels[rows], weights[rows], ridge, start=whole) for rows in kept)])


def _penalised(pool: Pool, matrix: Floats, weights: Floats, smooth: Flags) -> tuple[float, Floats, Floats]:
    """Choose the penalty by the loss out of fold, from the largest down until it is no better; with its fits and scores."""
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


def misjudged(encoding: Encoding, main: Floats, residuals: Floats, variances: Floats) -> tuple[Pair, ...]:
    """Return the products of two columns, at most 16, along which residuals (N,) surely do not add up to 0.

    A score test of each product, with Bonferroni's correction for all; a cell, or the meeting of two, needs 10 rows or more.
    main: the design without products, shape (N, d). variances: of the residuals, shape (N,).
    Source: Rao 1948 (the score test).
    """
    flags = np.where(encoding.smooth, 1.0, main)
    looked = encoding.meetings & (flags.T @ flags >= PAIR_ROWS)
    total, first = (main.T @ (main * weights[:, None]) for weights in (residuals, variances))
    spread = (main**2).T @ (main**2 * variances[:, None]) - first**2 / max(variances.sum(), TINY)
    z = np.where(looked, np.abs(total) / np.sqrt(np.maximum(spread, TINY)), 0.0)
    needed = -float(ndtri(PAIR_ALPHA / max(2 * looked.sum(), 1)))
    order = np.argsort(-z, axis=None, kind="stable")[:PAIRS]
    return tuple((int(place) // len(z), int(place) % len(z)) for place in order if z.flat[place] > needed)


def ratio_of(pool: Pool) -> Ratio:
    """Fit the classifier: cells and values of every column, and the products of two of these that it misjudges without them.

    The penalty is the one of 1000, 100, 10, 1 with the least loss out of fold. Products are looked for twice, since some only
    show when others are in, and kept if the loss out of fold falls.
    """
    encoding, weights, labels = encoding_of(pool), balanced(pool), pool.live.astype(np.float64)
    smooth, main = encoding.smooth, encoding.matrix(pool)
    penalty, betas, scores = _penalised(pool, main, weights, smooth)
    for _ in range(ROUNDS):
        chance = expit(scores)
        pairs = misjudged(encoding, main, weights * (labels - chance), weights**2 * chance * (1 - chance))
        larger = encoding.paired([*encoding.pairs, *(pair for pair in pairs if pair not in encoding.pairs)])
        if len(larger.pairs) == len(encoding.pairs):
            break
        more = _fits(pool, larger.matrix(pool), weights, ridge_of(penalty, smooth, len(larger.pairs)))[1:]
        after = out_of_fold(larger.matrix(pool), more, pool.folds)
        if mean_loss(after, labels, weights) >= mean_loss(scores, labels, weights):
            break
        encoding, betas, scores = larger, more, after
    line = line_of(scores[:, None], labels[:, None], weights[:, None])
    matrix, ridge = encoding.matrix(pool), ridge_of(penalty, smooth, len(encoding.pairs))
    return Ratio(pool, encoding, matrix, weights, ridge, betas, line[:, 0], on_line(line, scores[:, None])[:, 0])
