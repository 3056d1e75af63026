"""How often drift detectors cry wolf and how soon they see drift: custody's own, driven by counts and by rows, and other tools' rules.

python bench/alarms.py          everything, about a quarter of an hour on one core
QUICK=1 python bench/alarms.py  few runs, within a minute

Each line prints what was measured, its range, and the target if there is one; exit 1 when one falls short. A rate's range is the
95 % Clopper-Pearson interval. Delays are in days: 1 = found on the first day of drift. Every run has its own seed.
"""

import os
import sys
import time
from collections.abc import Iterator, Sequence

import numpy as np

from alarms_dependence import WAYS, users, weeks
from alarms_peers import Floats, Rows, checked, rows, rules
from alarms_world import ZERO, Counts, World, alarms, days, drifted, watched, world
from custody.core.measures.spec import Values, specs_of
from custody.core.measures.summary import Summary, summarise
from custody.monitoring.delay import expected_delay
from custody.monitoring.detector import look, started
from custody.monitoring.reference import ALARM, NOTICE, Reference, clopper_pearson, reference_of

QUICK = os.environ.get("QUICK") == "1"
KINDS = ("continuous", "discrete", "mixture")
SIZES = ((10_000, 1_000), (100_000, 10_000))  # rows of the reference, rows a day
LAWS = ("normal", "lognormal", "mixed")
SHORT: list[str] = []


def few(runs: int, least: int = 2) -> int:
    """Return how many runs to make: a fortieth if it has to be quick."""
    return max(runs // 40, least) if QUICK else runs


def rate(hits: int, runs: int) -> str:
    low, high = (100 * float(bound[0]) for bound in clopper_pearson(np.array([hits]), runs, 0.025))
    return f"{hits:3} of {runs:3} = {100 * hits / runs:5.1f} % [{low:.1f}, {high:.1f}]"


def told(name: str, measured: str, target: str = "", *, good: bool = True) -> None:
    """Print a line; remember it if it falls short."""
    verdict = "" if not target else "   ok" if good else "   FALLS SHORT"
    print(f"  {name:58} {measured:44} {target}{verdict}", flush=True)
    if not good:
        SHORT.append(name)


def quiet(place: World, rng: np.random.Generator, n: int, looks: int) -> tuple[int, int]:
    """Watch days without drift; return the looks of the first notice and alarm, 0 = none."""
    blocks = (days(rng, place, drifted(place), n, min(looks - done, 200)) for done in range(0, looks, 200))
    return alarms(watched(place, blocks, n))


def false_alarms() -> None:
    print("\nFalse alarms in the whole run, alpha 0.05; tolerance 0 (notice) and 2 points (alarm); 25 columns")
    runs, long = few(200), few(60, 1)  # the first of the runs go on for 1,000 looks
    for kind in KINDS:
        for n0, n in SIZES:
            found = [
                quiet(
                    world(np.random.default_rng([n0, run]), n0, kind),
                    np.random.default_rng([n, run]),
                    n,
                    1000 if run < long else 200,
                )
                for run in range(runs)
            ]
            for level in (NOTICE, ALARM):
                for looks, of in ((200, found), (1000, found[:long])):
                    hits = sum(0 < one[level] <= looks for one in of)
                    name = f"{kind}, reference {n0:,}, {n:,} a day, tolerance {2 * level}, {looks:,} looks"
                    told(name, rate(hits, len(of)), "<= 5 %", good=hits <= 0.05 * len(of))


def drift(
    place: World, rng: np.random.Generator, n: int, *, start: int, horizon: int, mean: float, points: float = 0.0, ramp: int = 0
) -> Iterator[Counts]:
    """Yield clean days, then drifting ones: at once, or over `ramp` days."""
    if start > 1:
        yield days(rng, place, drifted(place), n, start - 1)
    if not ramp:
        for done in range(0, horizon, 10):
            yield days(rng, place, drifted(place, mean, points), n, min(10, horizon - done))
    for day in range(horizon if ramp else 0):
        yield days(rng, place, drifted(place, mean * min((day + 1) / ramp, 1)), n, 1)


def delay_of(
    name: str,
    setting: tuple[int, int, int, int],
    level: int,
    target: float,
    *,
    mean: float = 0.0,
    points: float = 0.0,
    ramp: int = 0,
) -> None:
    """Measure one cell: setting = rows of the reference, rows a day, first day of drift, days of drift watched."""
    n0, n, start, horizon = setting
    found, plan = [], ""
    for run in range(few(32, 3)):
        place = world(np.random.default_rng([7, run]), n0, "continuous")
        rng, when = np.random.default_rng([8, run]), {"start": start, "horizon": horizon}
        state = watched(place, drift(place, rng, n, **when, mean=mean, points=points, ramp=ramp), n, level)
        day = alarms(state)[level]
        found.append(day - start + 1 if day else np.inf)
        if mean and not ramp and not plan:
            planned = expected_delay(place.reference, 0.399 * mean, n, looks_before=start - 1, level=level).days
            plan = f" (plan {planned:.1f})"
    early, seen = sum(one < 1 for one in found), np.array([one for one in found if one >= 1])
    middle, most = np.median(seen), np.quantile(seen, 0.9, method="higher")
    share = np.isfinite(seen).mean()
    text = f"{middle:4.1f} / {most:4.1f} [{seen.min():.0f}, {seen.max():.0f}]{plan}"
    text += f", {100 * share:.0f} % found" if share < 1 else ""
    text += f", {early} runs alarmed before" if early else ""
    good = early <= 0.05 * len(found) and bool(middle <= target)
    told(name, text, f"median <= {target:g}" if target < np.inf else "", good=good)


def delays() -> None:
    print("\nDelay in days, median / 90 % [range]; 3 of 25 columns drift (2 for the category); plan = what the planner says")
    small1, small31 = (10_000, 1_000, 1, 60), (10_000, 1_000, 31, 170)
    large31, none = (100_000, 10_000, 31, 120), np.inf
    for mean, targets in ((0.1, (none, none, none, none, 4)), (0.2, (none, 3, none, none, none)), (0.5, (none,) * 5)):
        cells = zip((small1, small31, small31, large31, large31), (NOTICE, NOTICE, ALARM, NOTICE, ALARM), targets, strict=True)
        for setting, level, target in cells:
            if mean == 0.1 and setting is small31 and level is ALARM and QUICK:
                continue
            name = f"mean {mean} sd, reference {setting[0]:,}, day {setting[2]}, tolerance {2 * level}"
            delay_of(name, setting, level, target, mean=mean)
    for setting, level in ((small31, NOTICE), (small31, ALARM), (large31, NOTICE), (large31, ALARM)):
        name = f"reference {setting[0]:,}, day {setting[2]}, tolerance {2 * level}"
        delay_of(f"slow, 0 to 0.5 sd in 60 days, {name}", setting, level, none, mean=0.5, ramp=60)
        delay_of(f"category less 5 points, {name}", setting, level, none, points=0.05)


def small_shift() -> None:
    print("\nA shift that does not matter: 0.02 sd, 100,000 rows a day, reference 100,000, 120 days")
    found = []
    for run in range(few(8)):
        place = world(np.random.default_rng([9, run]), 100_000, "continuous")
        blocks = drift(place, np.random.default_rng([10, run]), 100_000, start=1, horizon=120, mean=0.02)
        found.append(alarms(watched(place, blocks, 100_000)))
    hits = [sum(one[level] > 0 for one in found) for level in (NOTICE, ALARM)]
    told("tolerance 0: a traffic meter", rate(hits[NOTICE], len(found)))
    told("tolerance 2", rate(hits[ALARM], len(found)), "0 runs", good=hits[ALARM] == 0)


def generated(rng: np.random.Generator, n: int, law: str, shift: float = 0.0) -> dict[str, Values]:
    """Draw rows for the end-to-end cells: 20 numbers of one law, 5 categories."""
    found = rows(rng, n, shift)
    if law == "mixed":
        return {name: spoken(values) if name.startswith("c") else values for name, values in found.items()}
    normal = rng.normal(size=(20, n))
    normal[:3] += shift
    numbers: dict[str, Values] = {f"x{i}": np.exp(column) if law == "lognormal" else column for i, column in enumerate(normal)}
    return numbers | {name: spoken(values) for name, values in found.items() if name.startswith("c")}


def spoken(codes: Floats) -> Values:
    """Return codes as levels, so that they are read as a category."""
    return np.char.add("l", codes.astype(int).astype(str))


def fed(reference: Reference, batches: Iterator[Summary], level: int | None = None) -> tuple[int, int]:
    state = started(reference)
    for batch in batches:
        state = look(reference, state, batch)
        if level is not None and alarms(state)[level]:
            break
    return alarms(state)


def end_to_end() -> None:
    print("\nThe whole way: rows are drawn, summarised, looked at; reference 10,000, 1,000 rows a day")
    for law in LAWS:
        clean, seen, runs = [], [], few(20)
        for run in range(runs):
            rng = np.random.default_rng([11, run])
            first = generated(rng, 10_000, law)
            specs = specs_of(first)
            reference = reference_of(summarise(first, specs), ZERO)
            batches = (summarise(generated(rng, 1000, law), specs) for _ in range(30))
            clean.append(fed(reference, batches))
            moved = (summarise(generated(rng, 1000, law, 0.5), specs) for _ in range(20))
            seen.append(fed(reference, moved, NOTICE)[NOTICE] or np.inf)
        hits = sum(one[NOTICE] > 0 for one in clean)
        told(f"{law}: false notices in 30 days, tolerance 0", rate(hits, runs), "<= 5 %", good=hits <= 0.05 * runs)
        told(f"{law}: 0.5 sd from day 1", f"{np.median(seen):4.1f} [{min(seen):.0f}, {max(seen):.0f}]")


def peers() -> None:
    print(
        "\nDefault rules with no drift, 25 columns of mixed shape, 1,000 rows a day: days with an alarm, runs with one in 30 days"
    )
    checked(np.random.default_rng(0))
    for n0 in (10_000, 1_000):
        found: dict[str, list[tuple[float, bool, float]]] = {}
        for run in range(few(20)):
            rng = np.random.default_rng([12, n0, run])
            reference = rows(rng, n0)
            clean, moved = [rows(rng, 1000) for _ in range(30)], [rows(rng, 1000, 0.2) for _ in range(5)]
            judged = rules(reference, 1000)
            before, after = [judged(day) for day in clean], [judged(day) for day in moved]
            for name in before[0]:
                days_alarmed = np.array([day[name].any() for day in before])
                seen = [bool(day[name].any()) for day in after]
                first = seen.index(True) + 1 if True in seen else np.inf
                found.setdefault(name, []).append((float(days_alarmed.mean()), bool(days_alarmed.any()), first))
            found.setdefault("custody, tolerance 0", []).append(own(reference, clean, moved))
        for name, runs in found.items():
            share, ever, first = 100 * np.mean([r[0] for r in runs]), sum(r[1] for r in runs), np.median([r[2] for r in runs])
            sees = f"0.2 sd from day 1: day {first:.0f}" if first < np.inf else "0.2 sd: not in 5 days"
            ours = name.startswith("custody")
            text = f"days {share:5.1f} %, ever {rate(ever, len(runs))}; {sees}"
            told(f"reference {n0:,}: {name}", text, "<= 5 % of runs" if ours else "", good=not ours or ever <= 0.05 * len(runs))


def own(reference: Rows, clean: Sequence[Rows], moved: Sequence[Rows]) -> tuple[float, bool, float]:
    """Run custody on the very rows that the other rules saw."""

    def read(day: Rows) -> dict[str, Values]:
        return {name: spoken(values) if name.startswith("c") else values for name, values in day.items()}

    specs = specs_of(read(reference))
    prepared = reference_of(summarise(read(reference), specs), ZERO)
    first = fed(prepared, (summarise(read(day), specs) for day in clean))[NOTICE]
    later = fed(prepared, (summarise(read(day), specs) for day in moved), NOTICE)[NOTICE]
    return (31 - first) / 30 if first else 0.0, first > 0, later or np.inf


def dependent() -> None:
    print(
        "\nRows of users (3 or 4 a day, one in a hundred over 40, all alike), 20 columns, 1,000 rows a day, reference 10,000, tolerance 0"
    )
    looks, runs = 100, few(40)
    clean = [users(np.random.default_rng([13, run]), looks) for run in range(runs)]
    moved = [users(np.random.default_rng([14, run]), 60, 0.5) for run in range(few(10))]
    for way in WAYS:
        hits, first = sum(one[way] > 0 for one in clean), np.array([one[way] or np.inf for one in moved])
        target = "" if way == WAYS[0] else "<= 5 %"
        told(f"{way}: false notices in {looks} days", rate(hits, runs), target, good=not target or hits <= 0.05 * runs)
        told(f"{way}: 0.5 sd on 3 columns from day 1", f"{np.median(first):4.1f} [{first.min():.0f}, {first.max():.0f}]")
    print("\nWeekends that differ by 0.3 sd, 8 quiet weeks as reference, 1,000 rows a day, tolerance 0")
    weekly = [weeks(np.random.default_rng([15, run]), 140) for run in range(few(20))]
    late = [weeks(np.random.default_rng([16, run]), 60, 0.3)[1] for run in range(few(10))]
    told("a weekly pattern is found in the quiet phase", rate(sum(max(c.groups) > 0 for c, _ in weekly), len(weekly)))
    for way in weekly[0][1]:
        hits, first = sum(one[way] > 0 for _, one in weekly), np.array([one[way] or np.inf for one in late])
        target = "" if way == "all days together" else "<= 5 %"
        told(f"{way}: false notices in 140 days", rate(hits, len(weekly)), target, good=not target or hits <= 0.05 * len(weekly))
        told(f"{way}: 0.3 sd on 3 columns from day 1", f"{np.median(first):4.1f} [{first.min():.0f}, {first.max():.0f}]")


def main() -> int:
    """Run every part; answer 1 if a target is missed."""
    started_at = time.process_time()
    for part in (false_alarms, delays, small_shift, end_to_end, dependent, peers):
        before = time.process_time()
        part()
        print(f"  ({time.process_time() - before:.0f} CPU seconds)")
    print(
        f"\n{time.process_time() - started_at:.0f} CPU seconds; {len(SHORT)} targets missed{': ' if SHORT else ''}{'; '.join(SHORT)}"
    )
    return 1 if SHORT else 0


if __name__ == "__main__":
    sys.exit(main())
