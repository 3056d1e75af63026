"""Measure what relevance and decomposition promise: coverage of intervals, false listings, speed, two real streams.

Run: python bench/relevance.py, or QUICK=1 python bench/relevance.py for a fifth of the runs. Exit 1 when a promise is broken.
The stream of electricity prices is read from a file beside the repository, if it is there: python bench/relevance.py [FILE].
"""

import os
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from math import exp
from pathlib import Path
from time import process_time

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit
from scipy.stats import multivariate_normal, norm
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from custody.core.measures.intervals import wilson
from custody.core.measures.spec import Kind, Values
from custody.monitoring.decompose import Parts, decompose, labelled
from custody.monitoring.relevance import relevance
from custody.monitoring.shift.pool import FOLDS, Side, pool_of
from custody.monitoring.shift.ratio import mean_loss, ratio_of
from custody.monitoring.shift.slices import slices_lacking

QUICK = os.environ.get("QUICK") == "1"
RUNS = 40 if QUICK else 200
LISTS = 100 if QUICK else 500
LOW, LISTED = 0.93, 0.05
DATA = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[2] / "shared" / "data" / "elec.csv.gz"
PLANS = np.array(list("abcd"))
Floats = NDArray[np.float64]
Columns = dict[str, Values]


@dataclass(frozen=True)
class World:
    """A reference and a live world: how far the inputs move, and how much harder the same inputs become."""

    name: str
    n: int
    m: int
    shift: float
    harder: float
    way: str = "mean"

    def inputs(self, rng: np.random.Generator, rows: int, *, live: bool) -> tuple[Floats, NDArray[np.str_]]:
        x = rng.normal(size=(rows, 5))
        share = [0.2, 0.3, 0.2, 0.3] if live and self.way == "mean" and self.shift else [0.4, 0.3, 0.2, 0.1]
        if live and self.way == "mean":
            x[:, 0], x[:, 1] = x[:, 0] + self.shift, x[:, 1] + self.shift / 2
        elif live and self.way == "scale":
            x[:, 0] *= 1 + self.shift
        elif live:
            x[:, :2] = (x[:, :2] + self.shift * rng.normal(size=(rows, 1))) / np.sqrt(1 + self.shift**2)
        return x, rng.choice(PLANS, rows, p=share)

    def log_ratio(self, x: Floats, plan: NDArray[np.str_]) -> Floats:
        if self.way == "scale":
            found = norm.logpdf(x[:, 0], 0, 1 + self.shift) - norm.logpdf(x[:, 0])
        elif self.way == "together":
            rho = self.shift**2 / (1 + self.shift**2)
            found = multivariate_normal([0, 0], [[1, rho], [rho, 1]]).logpdf(x[:, :2]) - norm.logpdf(x[:, :2]).sum(axis=1)
        else:
            found = self.shift * x[:, 0] + self.shift / 2 * x[:, 1] - 5 / 8 * self.shift**2
            found = found + (np.log([0.5, 1, 1, 3])[np.searchsorted(PLANS, plan)] if self.shift else 0)
        return np.asarray(found, dtype=np.float64)

    def chance(self, x: Floats, plan: NDArray[np.str_], *, live: bool) -> Floats:
        more = self.harder * (1 + 0.5 * x[:, 2]) if live else 0
        return np.asarray(expit(-2 + x[:, 0] + 0.5 * x[:, 0] * x[:, 1] + (plan == "d") + more), dtype=np.float64)

    def side(self, rng: np.random.Generator, *, live: bool) -> Side:
        rows = self.m if live else self.n
        x, plan = self.inputs(rng, rows, live=live)
        loss = (rng.random(rows) < self.chance(x, plan, live=live)).astype(np.float64)
        return Side({**{f"x{i}": x[:, i] for i in range(5)}, "plan": plan}, extra=(loss,))

    def truth(self) -> dict[str, float]:
        """Integrate by a million draws of the inputs."""
        rng, size = np.random.default_rng(99), 1_000_000
        (before, plan), (after, new) = self.inputs(rng, size, live=False), self.inputs(rng, size, live=True)
        left, right = expit(self.log_ratio(before, plan)), expit(-self.log_ratio(after, new))
        old, now = self.chance(before, plan, live=False), self.chance(after, new, live=True)
        first, last = float(old.mean()), float(now.mean())
        shared, changed = float(left @ old / left.sum()), float(right @ now / right.sum())
        parts = {"harder": shared - first, "relation": changed - shared, "newer": last - changed}
        return {**parts, "inputs": parts["harder"] + parts["newer"], "difference": last - first}


WORLDS = [
    World("nothing moves", 2000, 2000, 0.0, 0.0),
    World("inputs move", 2000, 2000, 0.7, 0.0),
    World("relation changes", 2000, 2000, 0.0, 0.8),
    World("both, 2,000 labels", 2000, 2000, 0.7, 0.8),
    World("both, 300 live labels", 2000, 300, 0.7, 0.8),
    World("both, 300 labels", 300, 300, 0.7, 0.8),
    World("inputs move far, both", 2000, 2000, 1.5, 0.5),
    World("inputs spread, both", 2000, 2000, 0.5, 0.5, "scale"),
    World("inputs correlate, both", 2000, 2000, 1.5, 0.5, "together"),
]


def shown(held: int, runs: int) -> str:
    return f"{100 * held / runs:5.1f} %{'!' if surely_short(held, runs) else ' '}"


def surely_short(held: int, runs: int) -> bool:
    """Tell whether cover is below 93 %, at a level that pays for looking at some fifty of them."""
    return wilson(held, runs, 0.998)[1] < LOW


def coverage() -> int:
    print(
        f"\nCover of the 95 % intervals of a loss and its parts, {RUNS} runs each (target 93-97 % over all; '!' surely below 93 %)"
    )
    print(f"{'':24}{'harder':>9}{'relation':>9}{'newer':>9}{'inputs':>9}{'all':>9}  causes named; CPU s a call")
    total = Counter[str]()
    short = 0
    for place, world in enumerate(WORLDS):
        truth, held, causes, start = world.truth(), Counter[str](), Counter[str](), process_time()
        for run in range(RUNS):
            rng = np.random.default_rng([place, run])
            found = decompose(world.side(rng, live=False), world.side(rng, live=True))
            causes[found.cause.value] += 1
            assert found.parts is not None
            assert found.difference is not None
            parts = {name: getattr(found.parts, name) for name in Parts.__slots__} | {"difference": found.difference}
            held.update(name for name, value in truth.items() if parts[name].low <= value <= parts[name].high)
        seconds = (process_time() - start) / RUNS
        total.update(held)
        short += sum(surely_short(held[name], RUNS) for name in truth)
        cells = "".join(f"{shown(held[name], RUNS):>9}" for name in truth)
        print(f"{world.name:24}{cells}  {', '.join(f'{k} {v}' for k, v in causes.most_common())}; {seconds:.2f}", flush=True)
    runs, truth = RUNS * len(WORLDS), WORLDS[0].truth()
    print(f"{'over all':24}{''.join(f'{shown(total[name], runs):>9}' for name in truth)}")
    low = wilson(min(total.values()), runs)[1] < LOW
    print(f"least cover over all {100 * min(total.values()) / runs:.1f} % (target >= 93 %): {'SHORT' if low else 'ok'}")
    return short + low


def plain(rng: np.random.Generator, rows: int, shift: float = 0, gold: float = 0.15) -> Columns:
    numbers: Columns = {f"x{i}": rng.normal(shift if i == 0 else 0, 1, rows) for i in range(12)}
    words: Columns = {f"c{i}": rng.choice(list("abcde"), rows, p=[0.4, 0.3, 0.15, 0.1, 0.05]) for i in range(7)}
    return {**numbers, **words, "plan": rng.choice(["gold", "basic"], rows, p=[gold, 1 - gold])}


def effective() -> int:
    runs, short = RUNS // 2, 0
    print(f"\nCover of the 95 % interval of the effective share, {runs} runs each; 20 columns, one moves")
    for n, m, shift in ((2000, 2000, 0.0), (2000, 2000, 0.5), (2000, 2000, 1.0), (5000, 500, 0.7), (500, 500, 0.7)):
        truth, held, moved, values, start = exp(-(shift**2)), 0, 0, [], process_time()
        for run in range(runs):
            rng = np.random.default_rng(3000 + run)
            found = relevance(Side(plain(rng, n)), Side(plain(rng, m, shift)), seed=run)
            assert found.effective is not None
            held += found.effective.low <= truth <= found.effective.high or (shift == 0 and found.effective.high > 0.999)
            moved += found.moved
            values.append(found.effective.value)
        seconds = (process_time() - start) / runs
        said = f"true {truth:.3f}, mean {np.mean(values):.3f}, cover {shown(held, runs)}, said to have moved {100 * moved / runs:.0f} %"
        print(f"{n:6,} x {m:5,} rows, shift {shift:.1f}: {said}; {seconds:.2f} CPU s a call", flush=True)
        short += surely_short(held, runs) or (shift == 0 and wilson(moved, runs)[0] > LISTED)
    return short


def lists() -> int:
    print(f"\nRuns of {LISTS} that list a slice falsely (target <= 5 %); 20 columns; a gap of 10 % of live rows found in")
    short = 0
    for n, m in ((300, 300), (2000, 500), (5000, 5000)):
        none = edge = found = 0
        for run in range(LISTS):
            rng = np.random.default_rng(7000 + run)
            training = plain(rng, n)
            none += bool(slices_lacking(pool_of(Side(training), Side(plain(rng, m))), alpha=0.05))
            edge += bool(slices_lacking(pool_of(Side(training), Side(plain(rng, m, gold=0.3))), alpha=0.05))
            hole = {name: np.asarray(values)[~gap(training)] for name, values in training.items()}
            named = slices_lacking(pool_of(Side(hole), Side(plain(rng, m, gold=0.25))), alpha=0.05)
            found += [one.words for one in named] == ["c0 = a and plan = gold"]
        said = f"no drift {100 * none / LISTS:.1f} %, at the edge (twice the share) {100 * edge / LISTS:.1f} %"
        print(f"{n:6,} x {m:5,} rows: {said}; the gap alone named in {100 * found / LISTS:.0f} %", flush=True)
        short += max(none, edge) / LISTS > LISTED
    return short


def gap(columns: Columns) -> NDArray[np.bool_]:
    return np.asarray((np.asarray(columns["plan"]) == "gold") & (np.asarray(columns["c0"]) == "a"), dtype=np.bool_)


def arrests() -> tuple[pd.DataFrame, list[str], list[str]]:
    from sklego.datasets import load_arrests

    return load_arrests(as_frame=True), ["colour", "sex", "employed", "citizen"], ["age", "checks"]


def columns_of(frame: pd.DataFrame, names: list[str]) -> Columns:
    return {name: frame[name].to_numpy() for name in names}


def streams() -> Iterator[tuple[str, Columns, Columns]]:
    frame, words, numbers = arrests()
    sides = (frame[frame["year"] <= 1999], frame[frame["year"] == 2001])
    yield ("arrests to 1999 / 2001", columns_of(sides[0], words + numbers), columns_of(sides[1], words + numbers))
    if DATA.exists():
        prices, third = pd.read_csv(DATA), 15_104
        names = ["period", "nswprice", "nswdemand"]
        yield "elec 2nd / 3rd third", columns_of(prices[third : 2 * third], names), columns_of(prices[2 * third :], names)
    rng = np.random.default_rng(1)
    yield "one normal column moves", plain(rng, 5000), plain(rng, 5000, 0.7)


def classifiers() -> None:
    print("\nLoss out of fold of classifiers live / training, nats (0.693 knows nothing), 5,000 rows a side at most; CPU s")
    for name, training, live in streams():
        pool = pool_of(Side(training), Side(live)).first(5000)
        labels, start = pool.live.astype(np.float64), process_time()
        ratio = ratio_of(pool)
        said = [f"ours {mean_loss(ratio.scores, labels, ratio.weights):.4f} ({process_time() - start:.1f} s)"]
        rows = np.column_stack(
            [
                np.where(values < 0, np.nan, values) if spec.kind is Kind.CATEGORY else values
                for spec, values in zip(pool.specs, pool.values, strict=True)
            ]
        )
        for depth, trees in ((1, 200), (2, 200)):
            start, scores = process_time(), np.zeros(len(labels))
            for fold in range(FOLDS):
                kept = pool.folds != fold
                model = HistGradientBoostingClassifier(max_depth=depth, max_iter=trees, learning_rate=0.05, early_stopping=False)
                model.fit(rows[kept], labels[kept], sample_weight=ratio.weights[kept])
                scores[~kept] = model.decision_function(rows[~kept])
            loss = mean_loss(scores, labels, ratio.weights)
            said.append(f"boosted trees of depth {depth} {loss:.4f} ({process_time() - start:.1f} s)")
        print(f"{name:24} {'; '.join(said)}", flush=True)


def told(name: str, training: Columns, live: Columns, metrics: list[tuple[str, Side, Side]]) -> None:
    found = relevance(Side(training), Side(live))
    print(f"\n{name}\n  {found.sentence}")
    for one in found.slices:
        print(f"  lacking: {one} (surely {one.at_least:.1f} times the share)")
    for metric, reference, now in metrics:
        print(f"  {decompose(reference, now, metric=metric, higher_is_better=True).sentence}")


def real() -> None:
    frame, words, numbers = arrests()
    names, rng = words + numbers, np.random.default_rng(0)
    old, live = frame[frame["year"] <= 1999], frame[frame["year"] == 2001]
    kept = rng.random(len(old)) < 0.6
    encoder = make_column_transformer((OneHotEncoder(drop="if_binary"), words), (StandardScaler(), numbers))
    model = make_pipeline(encoder, LogisticRegression(class_weight="balanced")).fit(old[kept][names], old[kept]["released"])

    def judged(rows: pd.DataFrame, metric: str) -> Side:
        return labelled(
            columns_of(rows, names), metric, model.predict(rows[names]) == "Yes", (rows["released"] == "Yes").to_numpy()
        )

    metrics = [(metric, judged(old[~kept], metric), judged(live, metric)) for metric in ("accuracy", "precision", "recall", "f1")]
    told("arrests, trained on 1997-1999, live 2001", columns_of(old[kept], names), columns_of(live, names), metrics)
    if not DATA.exists():
        print("\nThe stream of electricity prices was not found; give its file: python bench/relevance.py FILE")
        return
    prices, third, names = pd.read_csv(DATA), 15_104, ["period", "nswprice", "nswdemand"]
    up = (prices["class"] == prices["class"].unique()[0]).to_numpy()
    old_rows = np.arange(third, 2 * third)
    kept = rng.random(third) < 0.6
    trees = HistGradientBoostingClassifier().fit(prices[names].to_numpy()[old_rows[kept]], up[old_rows[kept]])
    decided = trees.predict(prices[names].to_numpy()).astype(bool)

    def priced(rows: NDArray[np.int64], metric: str) -> Side:
        return labelled(columns_of(prices.iloc[rows], names), metric, decided[rows], up[rows])

    new = np.arange(2 * third, len(prices))
    metrics = [("accuracy", priced(old_rows[~kept], "accuracy"), priced(new, "accuracy"))]
    sides = [columns_of(prices.iloc[rows], names) for rows in (old_rows[kept], new)]
    told("electricity prices, trained on the 2nd third, live the 3rd", sides[0], sides[1], metrics)


def main() -> int:
    real()
    classifiers()
    short = lists() + effective() + coverage()
    print(f"\n{'all promises kept' if not short else f'{short} promises broken'}")
    return 1 if short else 0


if __name__ == "__main__":
    sys.exit(main())
