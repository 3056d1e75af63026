"""The bias check: gaps between groups of people, with intervals and three outcomes."""

from collections.abc import Mapping, Sequence
from itertools import combinations

from custody.core.evidence import Check, GroupCounts, Outcome
from custody.core.measures.intervals import newcombe
from custody.gates.policy import BiasRule


def bias_check(rule: BiasRule, groups: Sequence[GroupCounts], threshold: float) -> Check:
    """Fail if some gap is surely above the tolerance, pass if every gap is surely below it, else inconclusive.

    Surely above: the lower Newcombe bound at level alpha / number of pairs (Bonferroni). Surely below: the upper bound at
    level alpha, which needs no correction, since all pairs must pass. A group with fewer than `min_n` relevant rows is
    inconclusive, never skipped.
    Source: Newcombe 1998, Statistics in Medicine 17, method 10; Holm 1979 for why pairs are corrected.
    """
    name = f"bias:{rule.measure}:{rule.column}@{threshold:g}"
    counts = {group.group: _relevant(rule.measure, group) for group in groups}
    if len(counts) < 2:
        return Check(name, Outcome.INCONCLUSIVE, f"The holdout rows have fewer than two groups of '{rule.column}'.")
    rates = {group: k / n for group, (k, n) in counts.items() if n}
    small = sorted(group for group, (_, n) in counts.items() if n < rule.min_n)
    surely, worst = _gaps(rule, counts)
    spoken = ", ".join(f"{group} {rate:.1%} (n={counts[group][1]})" for group, rate in sorted(rates.items()))
    said = f"{rule.measure.replace('_', ' ')} by {rule.column}: {spoken}."
    facts = {
        "tolerance": rule.tolerance,
        "largest_possible_gap": worst,
        **{f"rate:{group}": rate for group, rate in rates.items()},
    }
    allowed = f"allowed is {rule.tolerance:.0%}"
    if surely:
        low, one, two = max(surely)
        gap = abs(rates[one] - rates[two])
        proof = f"The gap between {one} and {two} is {gap:.1%}, surely above {low:.1%}; {allowed}."
        return Check(name, Outcome.FAIL, f"{said} {proof}", facts)
    if small:
        return Check(
            name, Outcome.INCONCLUSIVE, f"{said} Too few rows of {', '.join(small)} to judge: {rule.min_n} are needed.", facts
        )
    if worst > rule.tolerance:
        unsure = f"The gap may be as large as {worst:.1%}; {allowed}. More rows would decide."
        return Check(name, Outcome.INCONCLUSIVE, f"{said} {unsure}", facts)
    return Check(name, Outcome.PASS, f"{said} No gap is larger than {worst:.1%}; {allowed}.", facts)


def _gaps(rule: BiasRule, counts: Mapping[str, tuple[int, int]]) -> tuple[list[tuple[float, str, str]], float]:
    """Return the pairs whose gap is surely above the tolerance (with its lower bound), and the largest upper bound of all."""
    pairs = list(combinations(sorted(counts), 2))
    surely, worst = [], 0.0
    for one, two in pairs:
        (k1, n1), (k2, n2) = counts[one], counts[two]
        if not n1 or not n2:
            continue
        low, _ = _gap(newcombe(k1, n1, k2, n2, confidence=1 - rule.alpha / len(pairs)))
        _, high = _gap(newcombe(k1, n1, k2, n2, confidence=1 - rule.alpha))
        worst = max(worst, high)
        if low > rule.tolerance:
            surely.append((low, one, two))
    return surely, worst


def _relevant(measure: str, group: GroupCounts) -> tuple[int, int]:
    match measure:
        case "recall":
            return group.tp, group.tp + group.fn
        case "false_positive_rate":
            return group.fp, group.fp + group.tn
        case _:
            return group.tp + group.fp, group.n


def _gap(interval: tuple[float, float, float]) -> tuple[float, float]:
    _, low, high = interval
    smallest = 0.0 if low <= 0 <= high else min(abs(low), abs(high))
    return smallest, max(abs(low), abs(high))
