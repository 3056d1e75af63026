"""Is the feed alive: rows that stopped coming, and columns that stopped changing."""

from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from math import ceil, log

import numpy as np
from numpy.typing import ArrayLike

from custody.core.digest import Json
from custody.core.errors import InvalidInput
from custody.core.evidence import Check, Outcome
from custody.core.measures.spec import Kind
from custody.core.measures.summary import ColumnSummary, Summary
from custody.monitoring.detector import later
from custody.monitoring.reference import NOTICE, Reference

MIN_GAPS = 5


def gaps_of(times: Sequence[datetime]) -> tuple[float, ...]:
    """Return the seconds between deliveries, from their times in any order; the same time twice is one delivery."""
    return tuple((after - before).total_seconds() for before, after in pairwise(sorted(set(times))))


def _spoken(seconds: float) -> str:
    sizes = ((86_400, "days"), (3_600, "hours"), (60, "minutes"))
    size, unit = next((one for one in sizes if seconds >= 2 * one[0]), (1, "seconds"))
    return f"{seconds / size:.3g} {unit}"


def stale(
    last: datetime, now: datetime, gaps: Sequence[float], *, alpha: float = 0.01, slack: float = 1.5, feed: str = "rows"
) -> Check:
    """Ask whether nothing came for longer than the past gaps between deliveries let expect; fail means stale.

    gaps: seconds, as `gaps_of` returns them, best of one regular phase. slack: how many times longer than expected is still
    fine, >= 1. Looking often during one gap costs nothing. If gaps go on as before (exchangeable), one of them is called
    stale with chance <= alpha, or <= 1 / (n + 1) while the n gaps are fewer than that needs; `chance` says which.
    Inconclusive: fewer than 5 gaps are known. Raises: InvalidInput if alpha is outside (0, 1), or slack is below 1.
    Source: Vovk, Gammerman and Shafer 2005, conformal quantiles: the k-th smallest of n, k = ceil((n + 1)(1 - alpha)).
    """
    if not 0 < alpha < 1 or not slack >= 1:
        raise InvalidInput("A stale feed is judged with an alpha between 0 and 1 and a slack of 1 or more.")
    name, known = f"stale:{feed}", sorted(gap for gap in gaps if gap > 0)
    if len(known) < MIN_GAPS:
        said = f"only {len(known)} gaps between deliveries of {feed} are known; {MIN_GAPS} are needed"
        return Check(name, Outcome.INCONCLUSIVE, said, {"gaps": len(known), "needed": MIN_GAPS})
    place = min(ceil((len(known) + 1) * (1 - alpha)), len(known))
    silent, usual = max((now - last).total_seconds(), 0.0), known[place - 1]
    facts: dict[str, Json] = {"silent_s": silent, "limit_s": slack * usual, "gaps": len(known)}
    facts["chance"] = (len(known) + 1 - place) / (len(known) + 1)
    past = f"{place} of {len(known)} gaps before were at most {_spoken(usual)}"
    if silent > slack * usual:
        return Check(name, Outcome.FAIL, f"no {feed} for {_spoken(silent)}; {past}", facts)
    return Check(name, Outcome.PASS, f"{feed} came {_spoken(silent)} ago; {past}", facts)


def _heaviest(reference: Reference) -> dict[str, float]:
    """Bound the share of the most frequent value (or bucket of values) of each column, tolerated drift included."""
    found = {}
    ends = np.append(reference.starts, len(reference.events))[1:]
    for column, a, b in zip(reference.summary.columns, reference.starts, ends, strict=True):
        values = [e for e in range(a, b) if reference.events[e].ordinary]
        levels = [float(reference.limit[NOTICE, e, 0]) for e in values if reference.events[e].level is not None]
        top = column.counts.max(initial=0) / reference.summary.rows
        reach = max((float(reference.eps_ref[e]) for e in values), default=1.0)
        found[column.spec.column] = max(levels, default=float(top + 2 * reach + reference.tolerance.notice))
    return found


def _single(column: ColumnSummary) -> bool:
    """Tell whether all ordinary values are one value; what is counted together as other or unseen may be many."""
    return len(column.keys) == 1 and (column.spec.kind is Kind.NUMBER or int(column.keys[0]) < len(column.spec.levels))


def stuck(reference: Reference, batch: Summary, *, looks: int, alpha: float = 0.01, entities: ArrayLike = ()) -> Check:
    """Ask whether a column (an input, the score) has one value in a whole batch though the reference varies; fail means so.

    looks: 1 for the first batch that is asked. n independent rows are all in one bucket of share <= p with chance <=
    p^(n - 1); of all columns and all batches ever asked, any is falsely called constant with chance <= alpha. entities: rows
    of each entity, if rows of one may be alike; then entities count, not rows. Inconclusive: a batch without rows.
    Raises: InvalidInput if the batch was summarised by other specs, looks is below 1, or alpha is outside (0, 1).
    """
    if batch.specs != reference.summary.specs or looks < 1 or not 0 < alpha < 1:
        raise InvalidInput("A constant column is looked for by the reference's specs, from look 1, with alpha between 0 and 1.")
    if not batch.rows:
        return Check("constant", Outcome.INCONCLUSIVE, "there are no rows to look at")
    independent = np.asarray(entities).size or batch.rows
    surprise = log(len(batch.columns) / alpha) - log(later(looks - 1) - later(looks))
    heaviest = _heaviest(reference)
    alike = [column for column in batch.columns if column.finite == batch.rows and _single(column)]
    names = [column.spec.column for column in alike]
    found = [name for name in names if (1 - independent) * log(min(heaviest[name], 1.0)) >= surprise]
    facts: dict[str, Json] = {"columns": [*found], "rows": batch.rows, "alpha": alpha}
    if not found:
        return Check("constant", Outcome.PASS, f"no column stopped changing in {batch.rows:,} rows", facts)
    said = f"{', '.join(found)} had one value in all of {batch.rows:,} rows; the reference varies"
    return Check("constant", Outcome.FAIL, said, facts)
