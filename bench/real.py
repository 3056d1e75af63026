"""Drift in three real data sets whose changes are known: when it is found, in which words, and whether random halves stay quiet.

python bench/real.py    elec (half-hours of an electricity market), youtube and reddit (dated comments)

The files are looked for in the folder CUSTODY_DATA, else in shared/data beside this repository; what is absent is skipped.
Only names of columns and levels, shares and dates are printed, never a comment or its author. Exit 1 when a known change is
missed or late, is found before it happened, or a control alarms.
"""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline

from custody.core.evidence import Estimate, Outcome
from custody.core.measures.performance import confusion, estimates
from custody.core.measures.spec import Spec, Values, specs_of
from custody.core.measures.summary import Summary, summarise
from custody.monitoring.betting import Betting
from custody.monitoring.detector import look, started
from custody.monitoring.evaluation import degraded
from custody.monitoring.prior import label_spec, label_summary
from custody.monitoring.reference import ALARM, Reference, reference_of
from custody.monitoring.report import report
from custody.monitoring.weekdays import calendar_of

DATA = Path(os.environ.get("CUSTODY_DATA") or Path(__file__).parent.parent.parent / "shared" / "data")
HALVES = 20
On = Callable[[date], Reference]
Flags = NDArray[np.bool_]


@dataclass
class Told:
    """What fell short, in words."""

    short: list[str] = field(default_factory=list)

    def expect(self, what: str, *, good: bool) -> None:
        """Print a target and whether it is met."""
        print(f"    {'ok          ' if good else 'FALLS SHORT '} {what}")
        if not good:
            self.short.append(what)


def watch(on: On, batches: Mapping[date, Summary]) -> tuple[dict[str, date], date | None]:
    """Look at batches in the order of time, print each first alarm; return the dates of columns, and of all together."""
    found: dict[str, date] = {}
    together, state = None, started(on(next(iter(batches))))
    for day, batch in batches.items():
        reference = on(day)
        state = look(reference, state, batch)
        if state.looks == state.alarmed[ALARM]:
            together = day
        new = [name for name, first in zip(reference.columns, state.first[ALARM], strict=True) if first == state.looks]
        for column in report(reference, state, batch).columns if new else ():
            if column.column in new:
                found[column.column] = day
                known = f"reference known to {100 * column.eps_ref:.2g} points, {100 * column.delta:.2g} tolerated"
                print(f"    {day}  look {state.looks:3}  {column.column:12} {column.sentence} ({batch.rows} rows; {known})")
    return found, together


def halves(make: Callable[["np.random.Generator"], tuple[On, Mapping[date, Summary]]], told: Told) -> None:
    """Split the reference at random, again and again, and watch one half against the other: nothing may be found."""
    alarms = 0
    for run in range(HALVES):
        on, batches = make(np.random.default_rng([21, run]))
        state = started(on(next(iter(batches))))
        for day, batch in batches.items():
            state = look(on(day), state, batch)
        alarms += bool(state.first.any() or state.alarmed.any())
    told.expect(
        f"control: {alarms} of {HALVES} random halves of the reference raise a notice or an alarm; target 0", good=not alarms
    )


def summarised(frame: pd.DataFrame, columns: tuple[str, ...], specs: tuple[Spec, ...]) -> Summary:
    return summarise({name: _values(frame[name]) for name in columns}, specs)


def _values(column: "pd.Series[Any]") -> Values:
    found: Values = column.to_numpy() if column.dtype.kind == "f" else column.tolist()
    return found


def elec(told: Told) -> None:
    """Half-hours from May 1996 on; in May 1997 a neighbouring market joined, and three columns began to vary."""
    columns = ("nswprice", "nswdemand", "vicprice", "vicdemand", "transfer", "class")
    frame = pd.read_csv(DATA / "elec.csv.gz").assign(**{"class": lambda rows: rows["class"].map({0: "down", 1: "up"})})
    frame["day"] = [stamp.date() for stamp in pd.date_range("1996-05-07", periods=len(frame), freq="30min")]
    end, change = date(1996, 11, 5), frame["day"][int((frame["vicprice"] != frame["vicprice"][0]).to_numpy().argmax())]
    specs = specs_of({name: _values(frame.loc[frame["day"] < end, name]) for name in columns})
    days = {day: summarised(rows, columns, specs) for day, rows in frame.groupby("day")}
    quiet = {day: one for day, one in days.items() if day < end}
    calendar = calendar_of(quiet, clustered=True)
    print(
        f"\nelec: reference {min(quiet)} to {max(quiet)}, {len(quiet)} days of 48 rows; then a look per day. {calendar.sentence}"
    )
    worth = {
        name: round(float(calendar.references[0].effect[start]), 1)
        for name, start in zip(columns, calendar.references[0].starts, strict=True)
    }
    print(f"    half-hours of a day hang together, as the quiet days show; rows that are worth one: {worth}")
    found, together = watch(calendar.on, {day: one for day, one in days.items() if day >= end})
    print(f"    all columns together: {together}")
    for name in ("vicprice", "vicdemand", "transfer"):
        at = found.get(name)
        told.expect(
            f"{name}: the change of {change} is found on {at}; target: within 14 days, not before",
            good=at is not None and 0 <= (at - change).days <= 14,
        )

    def split(rng: np.random.Generator) -> tuple[On, Mapping[date, Summary]]:
        mixed = rng.permutation(np.array(list(quiet)))
        first, second = sorted(mixed[: len(mixed) // 2]), sorted(mixed[len(mixed) // 2 :])
        return calendar_of({day: quiet[day] for day in first}, clustered=True).on, {day: quiet[day] for day in second}

    halves(split, told)


def comments(name: str) -> pd.DataFrame:
    """Read dated comments in the order of time, without author and id."""
    frame = pd.read_csv(DATA / f"{name}.csv.gz", usecols=["text", "label", "client", "ts"]).dropna(subset=["ts"])
    stamps = pd.to_datetime(frame["ts"], utc=True, format="ISO8601")
    ordered = frame.assign(ts=stamps, text=frame["text"].fillna("")).sort_values("ts", kind="stable").reset_index(drop=True)
    return ordered.assign(week=[stamp.date() for stamp in ordered["ts"].dt.tz_localize(None).dt.to_period("W").dt.end_time])


def weekly(frame: pd.DataFrame, start: str, told: Told, title: str) -> dict[str, date]:
    """Watch text and client week by week against what is older than `start`; then the control."""
    columns = ("text", "client")
    old = frame["ts"] < pd.Timestamp(start, tz="UTC")
    past, live = frame[old], frame[~old]
    specs = specs_of({name: _values(past[name]) for name in columns})
    reference = reference_of(summarised(past, columns, specs))
    print(
        f"\n{title}: reference {len(past):,} comments before {start}; then {len(live):,}, a look per week, named by its last day"
    )
    print(f"    {reference.warning}")
    found, together = watch(lambda _: reference, {week: summarised(rows, columns, specs) for week, rows in live.groupby("week")})
    print(f"    all columns together: {together}")

    def split(rng: np.random.Generator) -> tuple[On, Mapping[date, Summary]]:
        mixed = past.iloc[rng.permutation(len(past))]
        first, rest = mixed.iloc[: len(mixed) // 2], mixed.iloc[len(mixed) // 2 :]
        own = specs_of({name: _values(first[name]) for name in columns})
        fixed = reference_of(summarised(first, columns, own))
        parts = np.array_split(np.arange(len(rest)), 20)
        return lambda _: fixed, {date(2000, 1, 1 + i): summarised(rest.iloc[part], columns, own) for i, part in enumerate(parts)}

    halves(split, told)
    return found


def youtube(told: Told) -> None:
    """Comments of five channels: the channels' shares, then the labels, and then what a filter makes of it."""
    frame = comments("youtube")
    found = weekly(frame, "2014-11-01", told, "youtube")
    at = found.get("client")
    told.expect(
        f"client: another channel takes over in November 2014; found by {at}; target: by 2014-11-30",
        good=at is not None and at <= date(2014, 11, 30),
    )
    old = frame["ts"] < pd.Timestamp("2014-11-01", tz="UTC")
    before = {"spam": int(frame["label"][old].sum()), "ham": int((frame["label"][old] == 0).sum())}
    spec = label_spec(before)
    reference = reference_of(label_summary(before, spec))
    counts = {week: {"spam": int(y.sum()), "ham": int((y == 0).sum())} for week, y in frame[~old].groupby("week")["label"]}
    labels, _ = watch(lambda _: reference, {week: label_summary(one, spec) for week, one in counts.items()})
    told.expect(
        f"label: only spam from December to April, hardly any in May; found by {labels.get('label')}; target: by 2015-05-31",
        good=labels.get("label", date.max) <= date(2015, 5, 31),
    )
    filtered(frame[old], frame[~old], told)


def filtered(past: pd.DataFrame, live: pd.DataFrame, told: Told) -> None:
    """Train a filter on the past, register what cross-validation measures, and check labels one by one and window by window."""
    model = make_pipeline(TfidfVectorizer(ngram_range=(1, 2), min_df=2), LogisticRegression(max_iter=1000))
    held = cross_val_predict(model, past["text"], past["label"], cv=5) == 1
    decided, actual = model.fit(past["text"], past["label"]).predict(live["text"]) == 1, live["label"].to_numpy() == 1
    for metric in ("accuracy", "precision"):  # half of alpha each
        registered = measured(metric, held, past["label"].to_numpy() == 1)
        print(f"    a filter learned from the past: {registered} (cross-validated); live {measured(metric, decided, actual)}")
        at = bet_on(registered, live["week"].tolist(), decided, actual)
        proven = by_windows(registered, live["ts"].tolist(), decided, actual)
        said = [f"by {day}" if day else "not" for day in (at, proven)]
        found = f"{metric}: a loss of more than 2 points is proven {said[0]} label by label, {said[1]} in windows of 150 labels"
        if metric == "precision":
            told.expect(f"{found}; target: label by label by 2015-06-07", good=at is not None and at <= date(2015, 6, 7))
        else:
            print(f"    {found}")


def bet_on(registered: Estimate, weeks: Sequence[date], decided: Flags, actual: Flags) -> date | None:
    """Bet on labels week by week; return the week in which the loss is proven, and what it rests on."""
    bet = Betting.against(registered, tolerance=0.02, alpha=0.025)
    for week in sorted(set(weeks)):
        places = np.array([one == week for one in weeks])
        bet = bet.update(decided[places], actual[places])
        if bet.alarm:
            print(
                f"    {week}  {bet.labels} labels: {bet.metric} is below {bet.limit:.3f}; e = {np.exp(bet.peak):.0f}, needed {1 / bet.alpha:.0f}"
            )
            return week
    return None


def by_windows(registered: Estimate, stamps: Sequence[pd.Timestamp], decided: Flags, actual: Flags) -> date | None:
    """Judge windows of 150 labels as the platform does; return the last day of the first that is proven to be worse."""
    for number, start in enumerate(range(0, len(actual) - 149, 150), start=1):
        window = slice(start, start + 150)
        live = measured(registered.metric, decided[window], actual[window])
        check = degraded(registered.metric, registered, live, tolerance=0.02, alpha=0.025, look=number)
        if check.outcome is Outcome.FAIL:
            print(f"    {stamps[window.stop - 1].date()}  window {number}: {check.sentence}")
            return date.fromisoformat(f"{stamps[window.stop - 1]:%Y-%m-%d}")
    return None


def measured(metric: str, decided: Flags, actual: Flags) -> Estimate:
    return next(one for one in estimates(confusion(decided, actual)) if one.metric == metric)


def reddit(told: Told) -> None:
    """Comments of subreddits; in April 2020 comments of new ones began to come."""
    found = weekly(comments("reddit"), "2020-04-01", told, "reddit")
    at = found.get("client")
    told.expect(
        f"client: subreddits never seen before; found by {at}; target: by 2020-04-26",
        good=at is not None and at <= date(2020, 4, 26),
    )


def main() -> int:
    """Go through what is there; answer 1 if anything falls short."""
    told, done = Told(), 0
    for part in (elec, youtube, reddit):
        if not (DATA / f"{part.__name__}.csv.gz").is_file():
            print(f"\n{part.__name__}: skipped, there is no {part.__name__}.csv.gz; set CUSTODY_DATA to the folder that holds it")
            continue
        part(told)
        done += 1
    print(f"\n{done} of 3 data sets, {len(told.short)} targets missed{': ' if told.short else ''}{'; '.join(told.short)}")
    return 1 if told.short else 0


if __name__ == "__main__":
    sys.exit(main())
