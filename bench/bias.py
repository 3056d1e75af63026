"""What the bias check promises at its tolerance, by simulation: how often it fails or passes wrongly, and what it finds.

Run: python bench/bias.py, or QUICK=1 python bench/bias.py for a tenth of the runs. Exit 1 when a promise is broken.
Eight and two groups, recall .70 in the first, tolerance .05, alpha 5 %; live: 30 windows of 100 positives a group.
Beside it the percentile bootstrap of the largest gap, which decides by the interval that most toolkits print.
"""

import os
import sys
from dataclasses import replace
from math import sqrt
from time import perf_counter

import numpy as np

from custody.core.evidence import GroupCounts, Outcome
from custody.gates.bias import bias_check
from custody.gates.policy import BiasRule

QUICK = os.environ.get("QUICK") == "1"
RUNS = 80 if QUICK else 800
RULE = BiasRule("group", "recall", 0.05)
MOST = 0.05
rng = np.random.default_rng(20)


def counted(found: np.ndarray, n: int) -> list[GroupCounts]:
    """Return groups with their true positives out of n positives."""
    return [GroupCounts("group", f"g{i}", 0, 0, n - int(k), int(k)) for i, k in enumerate(found)]


def outcomes(groups: int, n: int, gap: float) -> tuple[float, float, float]:
    """Return the shares of runs that fail and pass, and that a bootstrap of the largest gap would fail."""
    failed = passed = booted = 0
    rates = np.array([0.7, *[0.7 - gap] * (groups - 1)])
    for _ in range(RUNS):
        found = rng.binomial(n, rates)
        outcome = bias_check(RULE, counted(found, n), 0.5).outcome
        failed += outcome is Outcome.FAIL
        passed += outcome is Outcome.PASS
        drawn = rng.binomial(n, found / n, (200, groups)) / n
        booted += float(np.quantile(drawn.max(axis=1) - drawn.min(axis=1), 0.025)) > RULE.tolerance
    return failed / RUNS, passed / RUNS, booted / RUNS


def live(gap: float, windows: int = 30, n: int = 100) -> float:
    """Return the share of versions with any alarm over all looks."""
    alarms = 0
    for _ in range(RUNS):
        total = np.zeros(2, dtype=np.int64)
        for look in range(1, windows + 1):
            total += rng.binomial(n, [0.7, 0.7 - gap])
            rule = replace(RULE, alpha=RULE.alpha / (look * (look + 1)))
            if bias_check(rule, counted(total, n * look), 0.5).outcome is Outcome.FAIL:
                alarms += 1
                break
    return alarms / RUNS


def allowed(share: float) -> float:
    """Return the most that chance may add to a share of at most 5 % in so many runs (three standard deviations)."""
    return share + 3 * sqrt(share * (1 - share) / RUNS)


def main() -> int:
    """Print the table and return how many promises are broken."""
    broken = 0
    print(f"{RUNS} runs a row; recall .70, tolerance .05\n")
    print("groups  positives  true gap   fail    pass   bootstrap fails")
    for groups in (8, 2):
        for n in (100, 300, 1000, 5000):
            for gap in (0.0, 0.05, 0.15):
                fail, passed, boot = outcomes(groups, n, gap)
                wrong = fail if gap <= RULE.tolerance else passed
                wrong = max(fail, passed) if gap == RULE.tolerance else wrong
                bad = wrong > allowed(MOST)
                broken += bad
                print(
                    f"{groups:>6}  {n:>9}  {gap:>8.2f}  {fail:>6.1%}  {passed:>6.1%}  {boot:>8.1%}{'  FALLS SHORT' if bad else ''}"
                )
    for gap in (0.0, 0.05, 0.15, 0.25):
        share = live(gap)
        bad = gap <= RULE.tolerance and share > allowed(MOST)
        broken += bad
        print(f"live, 30 looks, true gap {gap:.2f}: {share:.1%} of versions alarm{'  FALLS SHORT' if bad else ''}")
    counts = counted(rng.binomial(1000, [0.7] * 8), 1000)
    start = perf_counter()
    for _ in range(100):
        bias_check(RULE, counts, 0.5)
    print(f"one check of eight groups: {(perf_counter() - start) * 10:.2f} ms")
    print("every promise is kept" if not broken else f"{broken} promises are broken")
    return broken


if __name__ == "__main__":
    sys.exit(min(main(), 1))
