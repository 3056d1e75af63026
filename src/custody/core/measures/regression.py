"""How far a model's numbers lie from the truth: losses with intervals, and how often a prediction interval holds it."""

from dataclasses import replace
from math import inf, sqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray

from custody.core.errors import InvalidInput
from custody.core.evidence import Estimate
from custody.core.measures.intervals import wilson
from custody.core.measures.ratio import skewed_ratio, t_quantile

Floats = NDArray[np.float64]
_LARGEST = 1e150


def pinball_losses(actual: ArrayLike, predicted: ArrayLike, quantile: float) -> Floats:
    """Return each row's pinball loss of a predicted quantile, shape (n,), >= 0, in the unit of the target.

    quantile: 0 < quantile < 1; a truth above the prediction costs `quantile` a unit, one below costs 1 - quantile.
    Source: Koenker and Bassett 1978.

    >>> pinball_losses([10.0, 10.0], [8.0, 12.0], 0.9).round(1).tolist()
    [1.8, 0.2]
    """
    if not 0 < quantile < 1:
        raise InvalidInput(f"The quantile {quantile} is not between 0 and 1.", fix="Use 0.9 for the 90th percentile.")
    gaps = _errors(actual, predicted)
    losses: Floats = np.maximum(-quantile * gaps, (1 - quantile) * gaps)
    return losses


def mae(actual: ArrayLike, predicted: ArrayLike, confidence: float = 0.95) -> Estimate | None:
    """Measure the mean absolute error, both shape (n,), in the unit of the target; None with fewer than two rows.

    Interval: a t interval of the row losses, corrected for their skewness (Hall 1992, see `skewed_ratio`): losses are skewed
    to the right, and a plain t interval then misses too often from below.
    Raises: InvalidInput if the shapes differ or a value is not finite; so do the other measures.

    >>> mae([1.0, 2.0, 4.0], [1.5, 2.0, 3.0]).value
    0.5
    """
    return _mean_loss("mae", np.abs(_errors(actual, predicted)), confidence)


def mse(actual: ArrayLike, predicted: ArrayLike, confidence: float = 0.95) -> Estimate | None:
    """Measure the mean squared error, in the squared unit of the target; interval as in `mae`."""
    return _mean_loss("mse", _errors(actual, predicted) ** 2, confidence)


def rmse(actual: ArrayLike, predicted: ArrayLike, confidence: float = 0.95) -> Estimate | None:
    """Measure the root mean squared error, in the unit of the target: `mse` and its interval, under the root.

    >>> rmse([0.0, 0.0], [7.0, 1.0]).value
    5.0
    """
    found = mse(actual, predicted, confidence)
    return rooted(found) if found else None


def rooted(squared: Estimate, metric: str = "rmse") -> Estimate:
    """Restate an estimate of a mean square, from any sample, as one of its root; a root is monotone, so the interval holds.

    A negative value or bound (weights can do that) is InvalidInput: estimate with limits (0, inf).
    """
    if squared.low < 0 or squared.value < 0:
        raise InvalidInput("A mean square below 0 has no root.", fix="Estimate it with limits=(0, inf).")
    roots = sqrt(squared.value), sqrt(squared.low), sqrt(squared.high)
    return replace(squared, metric=metric, value=roots[0], low=roots[1], high=roots[2])


def pinball(actual: ArrayLike, predicted: ArrayLike, quantile: float, confidence: float = 0.95) -> Estimate | None:
    """Measure the mean pinball loss of a predicted quantile; interval as in `mae`. Lowest in the mean at the true quantile."""
    return _mean_loss("pinball", pinball_losses(actual, predicted, quantile), confidence)


def bias(actual: ArrayLike, predicted: ArrayLike, confidence: float = 0.95) -> Estimate | None:
    """Measure the mean error, predicted less actual, in the unit of the target; above 0 = predicts too much.

    Interval: Student's t, which heavy tails on both sides hardly harm. None with fewer than two rows.
    Source: Student 1908.

    >>> bias([1.0, 2.0, 4.0], [2.0, 2.0, 6.0]).value
    1.0
    """
    errors = _errors(actual, predicted)
    if len(errors) < 2:
        return None
    value = float(errors.mean())
    margin = t_quantile(confidence, len(errors)) * float(errors.std(ddof=1)) / sqrt(len(errors))
    return Estimate("bias", value, value - margin, value + margin, len(errors), confidence)


def interval_coverage(actual: ArrayLike, low: ArrayLike, high: ArrayLike, confidence: float = 0.95) -> Estimate | None:
    """Measure the share of rows whose truth lies in the predicted interval [low, high], shape (n,) each; None without rows.

    Interval: Wilson 1927. Compare it with the level that was promised: below it the model is too sure, above it too vague.
    An end may be infinite. Raises: InvalidInput also for an interval whose low end exceeds its high end.

    >>> interval_coverage([1.0, 5.0], [0.0, 0.0], [2.0, 2.0]).value
    0.5
    """
    y, first, last = (np.asarray(column, dtype=np.float64) for column in (actual, low, high))
    if y.ndim != 1 or not y.shape == first.shape == last.shape or not np.isfinite(y).all() or not (first <= last).all():
        raise InvalidInput(
            "The predicted intervals cannot be judged.",
            why="Truth, low and high need equal length, a finite truth, and low <= high in each row.",
        )
    if not y.size:
        return None
    inside = int(((first <= y) & (y <= last)).sum())
    return Estimate("interval_coverage", inside / y.size, *wilson(inside, y.size, confidence), y.size, confidence)


def regression(actual: ArrayLike, predicted: ArrayLike, confidence: float = 0.95) -> tuple[Estimate, ...]:
    """Measure mae, rmse and bias of one labelled sample, shape (n,) each; what cannot be measured is left out, never NaN."""
    found = [measure(actual, predicted, confidence) for measure in (mae, rmse, bias)]
    return tuple(one for one in found if one)


def _errors(actual: ArrayLike, predicted: ArrayLike) -> Floats:
    """Return predicted less actual."""
    y, x = np.asarray(actual, dtype=np.float64), np.asarray(predicted, dtype=np.float64)
    if y.ndim != 1 or y.shape != x.shape or not (np.isfinite(y) & np.isfinite(x)).all():
        raise InvalidInput(
            "The predictions cannot be compared with the truth.",
            why="Both must be columns of finite numbers, of equal length.",
            facts={"actual": str(y.shape), "predicted": str(x.shape)},
        )
    if y.size and max(np.abs(y).max(), np.abs(x).max()) > _LARGEST:
        raise InvalidInput("A value is too large to be squared.", fix="Use a larger unit.")
    errors: Floats = x - y
    return errors


def _mean_loss(metric: str, losses: Floats, confidence: float) -> Estimate | None:
    interval = skewed_ratio(losses, np.ones(len(losses)), confidence=confidence, limits=(0.0, inf))
    return Estimate(metric, *interval, len(losses), confidence) if interval else None
