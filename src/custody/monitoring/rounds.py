"""What one window's draws can say at either label, fixed before any label: the stakes of a bet are known before it is placed."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from custody.core.digest import Json
from custody.core.errors import InvalidInput
from custody.monitoring.ratios import Floats, scored, terms_of
from custody.monitoring.sampling import Design, Sample

ROUND_VERSION = 1
_ROUNDING = 1e-13
_Point = tuple[float, float]


@dataclass(frozen=True, slots=True, eq=False)
class Round:
    """One window's draws for one metric, as parts a and b of Z = a - m b, in the order drawn; store it before any label.

    no, yes: (a, b) of each draw if its label is no, or yes, shape (n, 2). top, bottom: the (a, b) among all N predictions, drawn
    or not, at either label, that can make Z largest or smallest for an m in 0..1, shape (k, 2).
    """

    metric: str
    no: Floats
    yes: Floats
    top: Floats
    bottom: Floats

    def values(self, m: ArrayLike, actual: ArrayLike, *, high: bool) -> Floats:
        """Return Z of each draw at ratio m, a number or shape (g,): shape (n,) or (g, n).

        A label that did not come (NaN) counts as the one that makes Z highest, or lowest. Then a bet against high, or low,
        values of Z only loses by missing labels, whichever are missing.
        """
        labels = np.asarray(actual, dtype=np.float64)
        came = np.isfinite(labels)
        if labels.shape != (len(self.no),) or not np.isin(labels[came], (0, 1)).all():
            raise InvalidInput(f"A round of {len(self.no)} draws needs as many labels: 0, 1, or NaN for one that did not come.")
        no, yes = _lines(self.no, m), _lines(self.yes, m)
        most: Floats = np.maximum(no, yes) if high else np.minimum(no, yes)
        return np.where(came, np.where(labels == 1, yes, no), most)

    def between(self, start: int, end: int) -> "Round":
        """Return the draws from start to before end only; their stakes stay those of the whole window."""
        return Round(self.metric, self.no[start:end], self.yes[start:end], self.top, self.bottom)

    def largest(self, m: ArrayLike) -> Floats:
        """Return the largest Z that any prediction of the window could have had at ratio m, in the shape of m."""
        found: Floats = _lines(self.top, m).max(axis=-1)
        return found

    def smallest(self, m: ArrayLike) -> Floats:
        """Return the smallest Z that any prediction of the window could have had at ratio m, in the shape of m."""
        found: Floats = _lines(self.bottom, m).min(axis=-1)
        return found

    def to_json(self) -> dict[str, Json]:
        """Write the round as JSON values, exactly."""
        tables = {"no": self.no, "yes": self.yes, "top": self.top, "bottom": self.bottom}
        lists: dict[str, Json] = {name: [*table.tolist()] for name, table in tables.items()}
        return {"version": ROUND_VERSION, "metric": self.metric, **lists}

    @classmethod
    def from_json(cls, body: Json) -> Self:
        """Read a round back; one of another version or a broken text is InvalidInput."""
        try:
            if not isinstance(body, dict) or body["version"] != ROUND_VERSION:
                raise TypeError
            read = [np.array(body[name], dtype=np.float64).reshape(-1, 2) for name in ("no", "yes", "top", "bottom")]
            if len(read[0]) != len(read[1]) or not len(read[2]) or not len(read[3]):
                raise ValueError
        except (KeyError, TypeError, ValueError) as error:
            raise InvalidInput("The stored round is not readable.", why="It is of another version, was cut or edited.") from error
        return cls(str(body["metric"]), *read)


def _lines(parts: Floats, m: ArrayLike) -> Floats:
    lines: Floats = parts[:, 0] - np.asarray(m, dtype=np.float64)[..., None] * parts[:, 1]
    return lines


def round_of(metric: str, scores: ArrayLike, decided: ArrayLike, design: Design, sample: Sample) -> Round:
    """Fix what each draw of a closed window can say: Z = w (psi - f) + mean_N f, with psi = u - m v, f = fu - m fv.

    scores, decided: of all N predictions, shape (N,). design: what the sample was drawn by. The scores are used in full.
    A census is not drawn by chance: there Z = psi, as for a stream of labels, and rows must be in an order that ignores them.
    """
    sides = parts_of(metric, scores, decided, design, census=sample.census)
    if sample.size != design.size:
        raise InvalidInput("The design and the sample do not belong together.", why="Their windows differ in size.")
    every = np.concatenate(sides)
    no, yes = (side[sample.rows] for side in sides)
    return Round(metric, no, yes, _upper(every), -_upper(-every))


def parts_of(
    metric: str, scores: ArrayLike, decided: ArrayLike, design: Design, *, census: bool = False
) -> tuple[Floats, Floats]:
    """Return the parts (a, b) of Z of all N predictions of a window, at label no and at label yes, shape (N, 2) each.

    Raises: InvalidInput if the design is of another window, or the metric is no ratio.
    """
    q, h = scored(scores, decided)
    terms = terms_of(metric, h)
    if len(q) != design.size:
        raise InvalidInput(f"The design is of {design.size} predictions, the window of {len(q)}.")
    fu, fv = (np.zeros(len(q)), np.zeros(len(q))) if census else terms.expected(q)
    weights = np.ones(len(q)) if census else 1 / (design.size * design.chances)
    no, yes = (
        np.stack([weights * (u - fu) + fu.mean(), weights * (v - fv) + fv.mean()], axis=1)
        for u, v in ((terms.u0, terms.v0), (terms.u1, terms.v1))
    )
    return no, yes


def _upper(points: Floats) -> Floats:
    """Return the points (a, b) that make a - m b largest for some m in 0..1: a chain of the convex hull, b rising."""
    a, b = points.T
    first = a[b == b.min()].max(), b.min()
    last = a.max(), b[a == a.max()].min()
    return np.array([first, *_between(points, first, last), last])


def _between(points: Floats, first: _Point, last: _Point) -> list[_Point]:
    """Return the hull's corners beyond the line between two of its points, in order; rounding is no corner."""
    height = (points[:, 0] - first[0]) * (last[1] - first[1]) - (last[0] - first[0]) * (points[:, 1] - first[1])
    beyond = height > _ROUNDING * (1 + float(np.abs(points).max())) ** 2
    if last[1] <= first[1] or not beyond.any():
        return []
    middle: _Point = tuple(points[height.argmax()].tolist())
    outside = points[beyond]
    return [*_between(outside, first, middle), middle, *_between(outside, middle, last)]
