"""The bias check: gaps between groups of people, with intervals and three outcomes."""

from collections.abc import Mapping, Sequence
from itertools import combinations, permutations

from custody.core.evidence import Check, GroupCounts, Outcome
from custody.core.measures.intervals import difference, newcombe, wilson
from custody.gates.policy import BiasRule

BIAS = "bias:"  # how the names of these checks begin
MOST = 10_000_000  # rows a group up to which the needed number is looked for
Counts = Mapping[str, tuple[float, float]]


def bias_check(rule: BiasRule, groups: Sequence[GroupCounts], threshold: float) -> Check:
    """Fail if some gap is surely above the tolerance, pass if every gap is surely below it, else inconclusive.

    Surely above: the lower Newcombe bound at level alpha / number of pairs (Bonferroni). Surely below: the upper bound at
    level alpha, which needs no correction, since all pairs must pass. A group with fewer than `min_n` relevant rows is
    inconclusive, never skipped; an inconclusive answer says how many rows a group would decide if the shares stayed.
    With `ratio`, the same on p1 - ratio * p2 for both orders of each pair: below zero means a ratio that is too small.
    Source: Newcombe 1998, Statistics in Medicine 17, method 10; Holm 1979 for why pairs are corrected; Zou and Donner 2008
    for the interval of p1 - ratio * p2.
    """
    name = f"{BIAS}{rule.measure}:{rule.column}@{threshold:g}"
    counts = {group.group: _relevant(rule.measure, group) for group in groups}
    if len(counts) < 2:
        return Check(name, Outcome.INCONCLUSIVE, f"The holdout rows have fewer than two groups of '{rule.column}'.")
    rates = {group: k / n for group, (k, n) in counts.items() if n}
    small = sorted(group for group, (_, n) in counts.items() if n < rule.min_n)
    surely, worst = _gaps(rule, counts)
    spoken = ", ".join(f"{group} {rate:.1%} (n={counts[group][1]})" for group, rate in sorted(rates.items()))
    said = f"{rule.measure.replace('_', ' ')} by {rule.column}: {spoken}."
    needed = None if surely or (not small and worst <= 0) else n_needed(rule, counts)
    facts = {
        "tolerance": rule.tolerance if rule.ratio is None else rule.ratio,
        "largest_possible_gap": worst + (rule.tolerance if rule.ratio is None else 0),
        "n_needed": needed,
        **{f"rate:{group}": rate for group, rate in rates.items()},
    }
    if surely:
        _, one, two = max(surely)
        return Check(name, Outcome.FAIL, f"{said} {_proof(rule, max(surely), rates[one], rates[two])}", facts)
    more = _more(needed)
    if small:
        few = f"Too few rows of {', '.join(small)} to judge: {rule.min_n} are needed."
        return Check(name, Outcome.INCONCLUSIVE, f"{said} {few} {more}", facts)
    if worst > 0:
        return Check(name, Outcome.INCONCLUSIVE, f"{said} {_unsure(rule, worst)} {more}", facts)
    return Check(name, Outcome.PASS, f"{said} {_fine(rule, worst)}", facts)


def n_needed(rule: BiasRule, counts: Counts) -> int | None:
    """Return how many relevant rows each group needs so that the check decides, if the measured shares are the true ones.

    None if no number up to ten million would: the shares lie at the tolerance, or a group has no rows yet.
    """
    if any(not n for _, n in counts.values()):
        return None
    shares = {group: k / n for group, (k, n) in counts.items()}

    def decided(n: int) -> bool:
        surely, worst = _gaps(rule, {group: (share * n, n) for group, share in shares.items()})
        return bool(surely) or worst <= 0

    high = rule.min_n
    while not decided(high):
        high *= 2
        if high > MOST:
            return None
    low = max(rule.min_n, high // 2)
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if decided(middle) else (middle + 1, high)
    return high


def _more(needed: int | None) -> str:
    if needed is None:
        return "No number of rows would decide if the shares stay as they are."
    return f"About {needed:,} relevant rows in each group would decide if the shares stay."


def _gaps(rule: BiasRule, counts: Counts) -> tuple[list[tuple[float, str, str]], float]:
    """Return the pairs that surely miss the rule (with the distance by which), and by how much any pair may still miss it."""
    pairs = list(combinations(sorted(counts), 2))
    level = rule.alpha / len(pairs)
    surely, worst = [], -1.0
    for one, two in pairs if rule.ratio is None else permutations(sorted(counts), 2):
        if not counts[one][1] or not counts[two][1]:
            continue
        if rule.ratio is None:
            low, _ = _gap(newcombe(*counts[one], *counts[two], confidence=1 - level))
            _, high = _gap(newcombe(*counts[one], *counts[two], confidence=1 - rule.alpha))
            under, over = low - rule.tolerance, high - rule.tolerance
        else:
            under = -_short(counts[one], counts[two], rule.ratio, 1 - level)[1]
            over = -_short(counts[one], counts[two], rule.ratio, 1 - rule.alpha)[0]
        worst = max(worst, over)
        if under > 0:
            surely.append((under, one, two))
    return surely, worst


def _short(one: tuple[float, float], two: tuple[float, float], ratio: float, confidence: float) -> tuple[float, float]:
    """Bound p1 - ratio * p2: low and high."""
    low, high = wilson(*two, confidence)
    scaled = (ratio * two[0] / two[1], ratio * low, ratio * high)
    found = difference((one[0] / one[1], *wilson(*one, confidence)), scaled)
    return found[1], found[2]


def _proof(rule: BiasRule, surely: tuple[float, str, str], one: float, two: float) -> str:
    by, first, second = surely
    if rule.ratio is not None:
        return f"{first} has {one / two:.2f} times the share of {second}, surely below {rule.ratio:g}."
    low = by + rule.tolerance
    return (
        f"The gap between {first} and {second} is {abs(one - two):.1%}, surely above {low:.1%}; allowed is {rule.tolerance:.0%}."
    )


def _unsure(rule: BiasRule, worst: float) -> str:
    if rule.ratio is not None:
        return f"Some ratio may be below {rule.ratio:g}."
    return f"The gap may be as large as {worst + rule.tolerance:.1%}; allowed is {rule.tolerance:.0%}."


def _fine(rule: BiasRule, worst: float) -> str:
    if rule.ratio is not None:
        return f"Every ratio is surely at least {rule.ratio:g}."
    return f"No gap is larger than {worst + rule.tolerance:.1%}; allowed is {rule.tolerance:.0%}."


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
