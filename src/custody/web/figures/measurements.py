"""A deployment's evaluations and looks as charts: quality with its interval and labels, drift with what it reads without any."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from custody.core.evidence import Estimate
from custody.lifecycle.views import RevisionRow
from custody.monitoring.evaluation import Evaluation
from custody.monitoring.ports import Look
from custody.web.figures.charts import Chart, Point, Series, Share, chart
from custody.web.figures.words import count, figure, moment, share


@dataclass(frozen=True, slots=True)
class Window:
    """One evaluation as the page shows it; estimate is None where there was nothing to measure."""

    start: datetime
    end: datetime
    model: str
    estimate: Estimate | None
    predictions: int
    labelled: int
    cost: float | None

    @property
    def coverage(self) -> float | None:
        """Return the share of predictions with a label, None without predictions."""
        return self.labelled / self.predictions if self.predictions else None

    @property
    def sentence(self) -> str:
        """Say what was measured, for pointers and screen readers."""
        when = f"{moment(self.start)} to {moment(self.end)}"
        if self.estimate is None:
            return f"{when}: no labels on {count(self.predictions)} predictions"
        one = self.estimate
        return f"{when}: {figure(one.value)} [{figure(one.low)}, {figure(one.high)}], n {count(one.n)}"


def windows(evaluations: Sequence[Evaluation], metric: str | None) -> tuple[Window, ...]:
    """Read evaluations, oldest first, keeping the one metric that the deployment is judged by."""
    return tuple(
        Window(
            one.start,
            one.end,
            str(one.model),
            one.metric(metric) if metric else None,
            one.predictions,
            one.labelled,
            one.cost,
        )
        for one in evaluations
    )


def _changes(timeline: Sequence[RevisionRow]) -> list[tuple[datetime, str]]:
    ordered = sorted(timeline, key=lambda row: row.number)
    return [(b.at, b.model) for a, b in itertools.pairwise(ordered) if a.model != b.model]


def _point(window: Window) -> Point:
    middle, one = window.start + (window.end - window.start) / 2, window.estimate
    return Point(middle, one.value, one.low, one.high, window.sentence) if one else Point(middle, None)


def quality(found: Sequence[Window], registered: Estimate | None, timeline: Sequence[RevisionRow]) -> Chart | None:
    """Draw the metric over its windows, each at the middle of its window, with the label coverage below."""
    points = tuple(_point(window) for window in found)
    strip = [
        Share(
            w.start,
            w.end,
            w.coverage or 0.0,
            count(w.estimate.n if w.estimate else 0),
            f"{share(w.coverage)} labelled; {w.sentence}",
        )
        for w in found
    ]
    limit = (registered.value, f"registered {figure(registered.value)}") if registered else None
    measured = any(w.estimate for w in found)
    return chart([Series("quality", 1, points)], limit=limit, strip=strip, events=_changes(timeline)) if measured else None


def drift(looks: Sequence[Look], timeline: Sequence[RevisionRow]) -> Chart | None:
    """Draw the score's PSI per look, one line per reference, each with its dashed expectation."""
    series = []
    for hue, reference in enumerate(dict.fromkeys(look.reference for look in looks), 1):
        own = [look for look in looks if look.reference == reference]
        said = [f"{moment(k.at)}: {figure(k.psi)}, without drift {figure(k.psi_expected)}, {count(k.rows)} rows" for k in own]
        expected = tuple(Point(look.at, look.psi_expected) for look in own)
        series.append(Series(f"{reference}, without drift", hue, expected, dashed=True))
        series.append(Series(reference, hue, tuple(Point(k.at, k.psi, title=t) for k, t in zip(own, said, strict=True))))
    return chart(series, from_zero=True, events=_changes(timeline))


def newest(looks: Sequence[Look]) -> tuple[tuple[int, Look], ...]:
    """Return the newest look of each reference with the hue of its line."""
    last = {look.reference: look for look in looks}
    return tuple(enumerate(last.values(), 1))
