"""Logistic regression with an L2 penalty, by Newton's method, and how it changes when its rows are weighed anew."""

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.special import expit

from custody.monitoring.shift.rows import Floats

STEPS, HALVINGS = 50, 30
ACCURACY = 1e-9  # of the mean loss


def objective(design: Floats, labels: Floats, weights: Floats, ridge: Floats, beta: Floats) -> float:
    """Return the penalised loss: sum of w (log(1 + e^s) - y s) + sum of ridge beta^2 / 2, with s = X beta."""
    scores = design @ beta
    return float(weights @ (np.logaddexp(0, scores) - labels * scores) + ridge @ beta**2 / 2)


def fit(design: Floats, labels: Floats, weights: Floats, ridge: Floats, *, start: Floats | None = None) -> Floats:
    """Fit weighted logistic regression, shape (d,): design (n, d), labels 0 or 1, ridge (d,) > 0 the penalty of each column.

    Newton's method; a step is halved until the loss does not grow. It stops after a step that gains less than 1e-9 a row.
    Source: iteratively reweighted least squares, Green 1984; the penalty: le Cessie and van Houwelingen 1992.
    """
    beta = np.zeros(design.shape[1]) if start is None else start
    loss = objective(design, labels, weights, ridge, beta)
    for _ in range(STEPS):
        slope, factor = slope_of(design, labels, weights, ridge, beta), curvature(design, weights, ridge, beta)
        step: Floats = cho_solve(factor, slope)
        gain = float(slope @ step) / 2
        for _ in range(HALVINGS):
            after = objective(design, labels, weights, ridge, beta - step)
            if after <= loss:
                break
            step = step / 2
        else:
            return beta
        beta, loss = beta - step, after
        if gain < ACCURACY * weights.sum():
            return beta
    return beta


def slope_of(design: Floats, labels: Floats, weights: Floats, ridge: Floats, beta: Floats) -> Floats:
    """Return the gradient of the objective, shape of beta: (d,), or (d, b) with weights, and maybe labels, of shape (n, b)."""
    errors = weights * (expit(design @ beta) - (labels if beta.ndim == labels.ndim else labels[:, None]))
    slope: Floats = design.T @ errors + (ridge * beta.T).T
    return slope


def curvature(design: Floats, weights: Floats, ridge: Floats, beta: Floats) -> tuple[Floats, bool]:
    """Return the Cholesky factor of the objective's second derivative."""
    chance = expit(design @ beta)
    second = (design * (weights * chance * (1 - chance))[:, None]).T @ design
    second.flat[:: len(ridge) + 1] += ridge
    found: tuple[Floats, bool] = cho_factor(second)
    return found


def refit(
    design: Floats, labels: Floats, weights: Floats, ridge: Floats, *, start: Floats, factor: tuple[Floats, bool]
) -> Floats:
    """Fit again under b other weightings of the same rows, weights (n, b), in two steps from the first fit; shape (d, b).

    The curvature is the first fit's (the chord method), so a step costs two matrix products for all b together; the error
    left after two is of order (d / n)^(3/2), below that of a resample itself.
    """
    beta = np.repeat(start[:, None], weights.shape[1], axis=1)
    for _ in range(2):
        beta -= cho_solve(factor, slope_of(design, labels, weights, ridge, beta))
    return beta
