"""A confidence sequence: an interval of a metric that may be read after every label, for ever."""

from dataclasses import dataclass, replace
from math import log
from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from custody.core.digest import Json
from custody.core.errors import InvalidInput
from custody.core.evidence import Estimate
from custody.core.measures.packing import pack, unpack
from custody.monitoring.betting import NOTHING, RATIOS, STAKES
from custody.monitoring.ratios import Floats
from custody.monitoring.rounds import Round

GRID: Floats = np.arange(1, 200) / 200
STATE_VERSION = 1
_STEPS = 10_000  # a stored log is a number of steps
_DRAWS = 64  # at a time: their logs fill a few megabytes


@dataclass(frozen=True, slots=True, eq=False)
class Sequence:
    """Bets against "metric >= m" and "metric <= m" for 199 values of m in steps of 0.005; what is not rejected is the interval.

    alpha: chance that the interval ever, at any label, misses a metric that stays what it is. labels: draws seen. logs: log
    wealth, shape (2 sides, 199, 8 stakes). peaks: largest log e-value ever reached, shape (2, 199). sums: of the parts a and b
    of Z over labels that came. One sequence is of one version of a model: if the metric changes, it may become empty.
    Source: Waudby-Smith and Ramdas 2024 (betting); the running intersection is free, since the promise is for all labels at once.
    """

    metric: str
    alpha: float
    labels: int
    logs: Floats
    peaks: Floats
    sums: tuple[float, float]

    @property
    def interval(self) -> tuple[float, float]:
        """Return low and high; (0, 1) before any label. Low exceeds high if the metric cannot have stayed the same.

        low: the largest m such that every "metric <= m" up to it was rejected, each side at alpha / 2; high likewise.
        """
        above, below = self.peaks >= log(2 / self.alpha)
        up, down = _leading(below), _leading(above[::-1])
        return float(GRID[up - 1]) if up else 0.0, float(GRID[-down]) if down else 1.0

    @property
    def estimate(self) -> Estimate | None:
        """Return the metric with its interval, None while no label speaks of it, or once the interval is empty."""
        low, high = self.interval
        if not self.sums[1] > 0 or low > high:
            return None
        return Estimate(self.metric, min(max(self.sums[0] / self.sums[1], low), high), low, high, self.labels, 1 - self.alpha)

    def update(self, drawn: Round, actual: ArrayLike) -> "Sequence":
        """Add the labels of one window's draws, shape (n,) of 0, 1 or NaN in the order drawn.

        A label that did not come bets for neither side, so that the interval stays right and only narrows more slowly.
        Raises: InvalidInput if the round is of another metric, or the labels do not fit.
        """
        if drawn.metric != self.metric:
            raise InvalidInput(f"A sequence of {self.metric} cannot use a round of {drawn.metric}.")
        most = drawn.values(GRID, actual, high=True), drawn.largest(GRID)
        least = -drawn.values(GRID, actual, high=False), -drawn.smallest(GRID)
        z = np.stack([_scaled(*most), _scaled(*least)])
        logs, peaks = self.logs, self.peaks
        for start in range(0, z.shape[-1], _DRAWS):
            steps = np.log1p(-STAKES * z[..., start : start + _DRAWS, None])
            path = logs[:, :, None] + np.cumsum(steps, axis=2)
            logs, peaks = path[:, :, -1], np.maximum(peaks, _log_mean(path).max(axis=-1))
        labels = np.asarray(actual, dtype=np.float64)
        parts = np.where(labels[:, None] == 1, drawn.yes, drawn.no)[np.isfinite(labels)].sum(axis=0)
        sums = self.sums[0] + float(parts[0]), self.sums[1] + float(parts[1])
        return replace(self, labels=self.labels + len(labels), logs=logs, peaks=peaks, sums=sums)

    def to_json(self) -> dict[str, Json]:
        """Write the state as JSON values, some 10 KB; logs are rounded down to 1e-4, so that evidence never grows by storing."""
        head: dict[str, Json] = {"version": STATE_VERSION, "metric": self.metric, "alpha": self.alpha, "labels": self.labels}
        stored = {name: pack(_steps_of(values)) for name, values in (("logs", self.logs), ("peaks", self.peaks))}
        return {**head, "sums": [*self.sums], **stored}

    @classmethod
    def from_json(cls, body: Json) -> Self:
        """Read a state back; one of another version or a broken text is InvalidInput."""
        try:
            if not isinstance(body, dict) or body["version"] != STATE_VERSION or body["metric"] not in RATIOS:
                raise TypeError
            shapes = {"logs": (2, len(GRID), len(STAKES)), "peaks": (2, len(GRID))}
            read = {name: unpack(str(body[name]), int(np.prod(shape))).reshape(shape) for name, shape in shapes.items()}
            first, second = np.array(body["sums"], dtype=np.float64).tolist()
            alpha, labels = float(str(body["alpha"])), int(str(body["labels"]))
        except (KeyError, TypeError, ValueError) as error:
            raise InvalidInput(
                "The stored sequence is not readable.", why="It is of another version, was cut or edited."
            ) from error
        return cls(str(body["metric"]), alpha, labels, read["logs"] / _STEPS, read["peaks"] / _STEPS, (first, second))


def sequence_of(metric: str, alpha: float = 0.05) -> Sequence:
    """Start a sequence of one of RATIOS before the first label; alpha outside (0, 1) is InvalidInput."""
    if metric not in RATIOS or not 0 < alpha < 1:
        raise InvalidInput(
            f"No sequence of '{metric}' at alpha {alpha}.", why=f"Possible are {', '.join(RATIOS)}, and 0 < alpha < 1."
        )
    return Sequence(metric, alpha, 0, np.zeros((2, len(GRID), len(STAKES))), np.zeros((2, len(GRID))), (0.0, 0.0))


def _scaled(z: Floats, largest: Floats) -> Floats:
    """Return z as a share of its largest possible value, 0 where that is nothing."""
    room = largest > NOTHING
    scaled: Floats = np.where(room[:, None], z / np.where(room, largest, 1)[:, None], 0.0)
    return scaled


def _log_mean(logs: Floats) -> Floats:
    """Return the log of the mean wealth over stakes; numpy's own logaddexp is ten times slower on many of them."""
    most = logs.max(axis=-1, keepdims=True)
    found: Floats = most[..., 0] + np.log(np.exp(logs - most).mean(axis=-1))
    return found


def _leading(rejected: "np.typing.NDArray[np.bool_]") -> int:
    """Count the rejected values from the outer end up to the first that stands."""
    return len(rejected) if rejected.all() else int(np.argmin(rejected))


def _steps_of(logs: Floats) -> "np.typing.NDArray[np.int64]":
    return np.floor(logs * _STEPS + 1e-6).astype(np.int64)
