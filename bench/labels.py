"""Measure what few labels are worth: coverage of intervals, labels saved, false alarms of a test that looks at every label.

Run: python bench/labels.py, or QUICK=1 python bench/labels.py for fewer repetitions (within a minute). With ppi-python in an
environment of its own (python -m venv .bench/ppi && .bench/ppi/bin/pip install ppi-python==0.2.3) its estimates stand beside ours.

Each share is printed with its Monte Carlo error: the half width of its 95 % range over the repetitions. A target is short when
the measured value is outside it. With few repetitions (QUICK=1) only values count whose whole range is outside. Stretch
targets are judged alike and printed, but never fail the run. Exit 1 when a must is short.

The world: log-odds of yes ~ N(-1.6, 1.6²), decided yes from 0.5 on: 24.7 % are yes, 15.9 % decided yes. `2x overconfident`
doubles the log-odds that the model reports. `rare` has 2.9 % yes and 0.2 % decided yes. 20,000 predictions a window.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from time import process_time

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from custody.core.evidence import Estimate
from custody.core.measures.performance import confusion
from custody.core.measures.performance import estimates as of_random_labels
from custody.monitoring.betting import Betting
from custody.monitoring.planner import budget_of
from custody.monitoring.ppi import Labelled, estimates
from custody.monitoring.ratios import terms_of
from custody.monitoring.rounds import round_of
from custody.monitoring.sampling import Design, Sample, betting_design, draw, shared_design, uniform_design
from custody.monitoring.sequence import sequence_of

Floats = NDArray[np.float64]
QUICK = os.environ.get("QUICK") == "1"
COVER, SAVE, FALSE, FOLLOW = (60, 25, 60, 10) if QUICK else (2_000, 300, 1_000, 100)
PREDICTIONS, LABELS, LOOKS = 20_000, 300, 2_000
WORLDS = {"calibrated": (-1.6, 1.6, 1), "2x overconfident": (-1.6, 1.6, 2), "rare": (-4.61, 1.60, 1)}
METRICS = ("accuracy", "precision", "recall", "f1")
ORACLE = Path(__file__).parents[1] / ".bench" / "ppi" / "bin" / "python"


@dataclass
class Window:
    """One closed window: the model's scores and decisions, and every label."""

    q: Floats
    h: NDArray[np.bool_]
    y: Floats

    @classmethod
    def of(cls, world: str, rng: np.random.Generator) -> "Window":
        mean, spread, sure = WORLDS[world]
        odds = rng.normal(mean, spread, PREDICTIONS)
        actual = (rng.random(PREDICTIONS) < expit(odds)).astype(np.float64)
        q = expit(sure * odds)
        return cls(q, q >= 0.5, actual)

    def truth(self, metric: str) -> float:
        u, v = terms_of(metric, self.h).seen(self.y == 1)
        return float(u.sum() / v.sum())

    def labelled(self, sample: Sample, labels: int) -> Labelled:
        part = Sample(sample.size, sample.rows[:labels], sample.chances[:labels], sample.reserve[:labels], sample.cells)
        return Labelled(self.q, self.h, part, self.y[part.rows])


class Judge:
    """Prints measured beside target and counts the musts that are short."""

    short = 0

    def line(self, name: str, value: float, error: float, target: tuple[float, float], *, must: bool, unit: str = "%") -> None:
        low, high = target
        inside, touches = low <= value <= high, low <= value + error and value - error <= high
        short = not inside and (not touches or not QUICK)
        self.short += short and must
        said = "ok" if inside else "SHORT" if short else "not surely short"
        wanted = f"{low:g}-{high:g}" if np.isfinite(high) and low else f"<= {high:g}" if np.isfinite(high) else f">= {low:g}"
        level = "must" if must else "stretch"
        print(f"  {name:34} {value:7.1f} {unit} +- {error:4.1f}   {level:7} {wanted:>7} {unit}   {said}", flush=True)

    def share(self, name: str, hits: int, runs: int, target: tuple[float, float], *, must: bool) -> None:
        p = (hits + 1) / (runs + 2)  # the error of a share that is 0 or all is not 0
        self.line(name, 100 * hits / runs, 196 * float(np.sqrt(p * (1 - p) / runs)), target, must=must)


def plain(window: Window, sample: Sample, metric: str, labels: int) -> tuple[float, float, float]:
    """Return the textbook estimate and its normal interval, written out anew: what coverage would be without our interval."""
    terms = terms_of(metric, window.h)
    fu, fv = terms.expected(window.q)
    rows, w = sample.rows[:labels], sample.weights[:labels]
    u, v = terms.at(rows).seen(window.y[rows] == 1)
    if not (w * v).sum():
        return 0.0, 0.0, 0.0
    m = (w * u).sum() / (w * v).sum()
    a, b = w * (u - m * v), w * (fu[rows] - m * fv[rows]) - (fu.mean() - m * fv.mean())
    lam = np.clip(np.mean((a - a.mean()) * (b - b.mean())) / b.var(), 0, 1) if b.var() else 0.0
    top, bottom = lam * fu.mean() + w * (u - lam * fu[rows]), lam * fv.mean() + w * (v - lam * fv[rows])
    value = top.mean() / bottom.mean()
    reach = 1.96 * float(((top - value * bottom) / bottom.mean()).std(ddof=1)) / np.sqrt(labels)
    return float(value), float(value - reach), float(value + reach)


def coverage(judge: Judge) -> None:
    for world in WORLDS:
        rng = np.random.default_rng([1, len(world)])
        hits = {(labels, metric): [0, 0, 0] for labels in (300, 100) for metric in METRICS}
        widths: dict[tuple[int, str], list[float]] = {key: [] for key in hits}
        for _ in range(COVER):
            window = Window.of(world, rng)
            sample = draw(shared_design(window.q, window.h), 300, rng)
            right = {metric: window.truth(metric) for metric in METRICS}
            for labels in (300, 100):
                for one in estimates([window.labelled(sample, labels)], metrics=METRICS):
                    count, truth = hits[labels, one.metric], right[one.metric]
                    _, low, high = plain(window, sample, one.metric, labels)
                    count[0] += 1
                    count[1] += one.low <= truth <= one.high
                    count[2] += low <= truth <= high
                    widths[labels, one.metric].append(one.high - one.low)
        for labels, target, must in ((300, (93.0, 97.0), True), (100, (93.0, 97.0), False)):
            print(f"Coverage of 95 % intervals, {world}, {labels} labels, shared design, {COVER} windows")
            for metric in METRICS:
                said, ours, normal = hits[labels, metric]
                width = np.median(widths[labels, metric])
                name = f"{metric} (z {100 * normal / said:.1f} %, width {width:.3f})"
                judge.share(name, ours, said, target, must=must)


def saving(judge: Judge) -> None:
    targets = {"accuracy": (1, False), "precision": (2.5, True), "recall": (2, True), "f1": (2, True)}
    rare = {"recall": (15, False), "f1": (15, False)}
    for world, wanted in (("calibrated", targets), ("rare", rare)):
        rng = np.random.default_rng([2, len(world)])
        widths: dict[str, list[tuple[float, float]]] = {metric: [] for metric in wanted}
        for _ in range(SAVE):
            window = Window.of(world, rng)
            sample = draw(shared_design(window.q, window.h), LABELS, rng)
            ours = by_metric(estimates([window.labelled(sample, LABELS)], metrics=tuple(wanted)))
            for metric, (times, _) in wanted.items():
                rows = rng.integers(PREDICTIONS, size=int(times * LABELS))
                theirs = by_metric(of_random_labels(confusion(window.h[rows], window.y[rows])))[metric]
                widths[metric].append((ours[metric].high - ours[metric].low, theirs.high - theirs.low))
        print(f"Labels saved against random sampling at equal width, {world}, {LABELS} labels, {SAVE} windows")
        for metric, (times, must) in wanted.items():
            mine, random = np.array(widths[metric]).T
            ratio = times * (random.mean() / mine.mean()) ** 2
            spread = 2 * ratio * np.hypot(mine.std() / mine.mean(), random.std() / random.mean()) / np.sqrt(SAVE)
            name = f"{metric} (width {mine.mean():.3f}, {times:g}x random {random.mean():.3f})"
            judge.line(name, float(ratio), 1.96 * float(spread), (times, np.inf), must=must, unit="x")


def by_metric(found: Iterable[Estimate]) -> dict[str, Estimate]:
    return {one.metric: one for one in found}


def peeking(u: Floats, v: Floats, limit: float) -> bool:
    """Tell whether a one-sided z-test at 5 %, read every 20 labels, ever alarms."""
    n = np.arange(1, len(u) + 1)
    su, sv, z = np.cumsum(u), np.cumsum(v), u - limit * v
    squares = np.cumsum(z * z) - np.cumsum(z) ** 2 / n
    looks = np.arange(39, len(u), 20)
    looks = looks[(sv[looks] > 0) & (squares[looks] > 0)]
    return bool(((su - limit * sv)[looks] < -1.645 * np.sqrt(squares[looks])).any())


def alarms(judge: Judge) -> None:
    print(f"Alarm rate at the boundary (live = limit), calibrated, {LOOKS:,} labels, {FALSE} runs; read after every label")
    designs: dict[str, Callable[[Window, str, float], Design]] = {
        "half uniform": lambda one, metric, limit: betting_design(one.q, one.h, metric, limit),
        "shared": lambda one, _, __: shared_design(one.q, one.h),
    }
    rng = np.random.default_rng(3)
    counts = {(name, metric): 0 for name in [*designs, "z"] for metric in METRICS}
    follow = dict.fromkeys(METRICS, 0)
    for run in range(FALSE):
        window = Window.of("calibrated", rng)
        for metric in METRICS:
            limit = window.truth(metric)
            for name, design_of in designs.items():
                design = design_of(window, metric, limit)
                sample = draw(design, LOOKS, rng)
                drawn, labels = round_of(metric, window.q, window.h, design, sample), window.y[sample.rows]
                counts[name, metric] += Betting(metric, limit, 0.05).update_drawn(drawn, labels).alarm
                if name == "shared" and run < FOLLOW:
                    low, high = sequence_of(metric).update(drawn, labels).interval
                    follow[metric] += not low <= limit <= high
            rows = rng.integers(PREDICTIONS, size=LOOKS)
            counts["z", metric] += peeking(*terms_of(metric, window.h).at(rows).seen(window.y[rows] == 1), limit)
    for metric in METRICS:
        for name in designs:
            beside = f" (z-test every 20: {100 * counts['z', metric] / FALSE:.0f} %)" if name == "half uniform" else ""
            judge.share(f"{metric}, {name}{beside}", counts[name, metric], FALSE, (0, 5), must=True)
    print(f"Runs in which the confidence sequence ever missed, shared design, {FOLLOW} runs a metric")
    judge.share("all four metrics", sum(follow.values()), FOLLOW * len(METRICS), (0, 5), must=True)


def plans() -> None:
    runs = 30 if QUICK else 300
    print(f"What a label budget finds, and the labels that {runs} simulated falls of that size took (no target)")
    rng = np.random.default_rng(4)
    window = Window.of("calibrated", rng)
    for metric in METRICS:
        limit = window.truth(metric) - 0.02
        design = betting_design(window.q, window.h, metric, limit)
        budget = budget_of(window.q, window.h, design, metric=metric, limit=limit)
        plan = budget.plan(50, 8)
        if plan.drop is None:
            print(f"  {metric:10} {plan.sentence}")
            continue
        fallen, took = budget.fallen(limit - plan.drop), []
        for _ in range(runs):
            actual = rng.random(PREDICTIONS) < fallen
            sample = draw(design, 4_000, rng)
            drawn = round_of(metric, window.q, window.h, design, sample)
            bet, start = Betting(metric, limit, 0.05), 0
            while not bet.alarm and start < 4_000:
                bet = bet.update_drawn(drawn.between(start, start + 10), actual[sample.rows[start : start + 10]])
                start += 10
            took.append(start)
        low, middle, high = np.quantile(took, [0.1, 0.5, 0.9])
        print(f"  {metric:10} {plan.sentence}; median {middle:.0f} labels, from {low:.0f} to {high:.0f} (10-90 %)", flush=True)


def oracle() -> None:
    if not ORACLE.exists():
        print("ppi-python is not compared: it has no environment (the docstring says how to make one)")
        return
    rng, ours = np.random.default_rng(5), []
    data: list[tuple[Floats, Floats, Floats]] = []
    for _ in range(20):
        window = Window.of("calibrated", rng)
        sample = draw(uniform_design(window.q, window.h), LABELS, rng)
        ours.append((plain(window, sample, "accuracy", LABELS), estimates([window.labelled(sample, LABELS)])[0]))
        right, f = window.h == window.y, np.where(window.h, window.q, 1 - window.q)
        data.append((right[sample.rows].astype(np.float64), f[sample.rows], f))
    code = (
        "import json, sys, numpy as np; from ppi_py import ppi_mean_ci, ppi_mean_pointestimate as value; d = np.load(sys.argv[1])\n"
        "rows = zip(d['y'], d['f'], d['every'])\n"
        "print(json.dumps([[float(x[0]) for x in (value(*r), *ppi_mean_ci(*r, alpha=0.05))] for r in rows]))"
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "data.npz")
        y, near, every = (np.stack(columns) for columns in zip(*data, strict=True))
        np.savez(path, y=y, f=near, every=every)
        done = subprocess.run([ORACLE, "-c", code, path], capture_output=True, text=True, check=True)
    theirs = json.loads(done.stdout.splitlines()[-1])
    gaps = [abs(one.value - other[0]) for (_, one), other in zip(ours, theirs, strict=True)]
    widths = [(z[2] - z[1]) / (other[2] - other[1]) for (z, _), other in zip(ours, theirs, strict=True)]
    print(f"ppi-python 0.2.3, accuracy, random draws, 20 windows: estimates differ by at most {max(gaps):.4f};", end=" ")
    print(f"normal widths are {min(widths):.3f} to {max(widths):.3f} of its own")


def main() -> int:
    judge, start = Judge(), process_time()
    for part in (coverage, saving, alarms):
        part(judge)
    plans()
    oracle()
    print(f"{judge.short} musts are short; {process_time() - start:.0f} s of processor time")
    return 1 if judge.short else 0


if __name__ == "__main__":
    sys.exit(main())
