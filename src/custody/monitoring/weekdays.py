"""References by weekday, for a deployment whose quiet phase has a weekly pattern: Sundays are compared with Sundays."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from functools import reduce

from custody.core.digest import Digest, digest_of_json
from custody.core.errors import InvalidInput
from custody.core.measures.summary import Summary, empty, merge
from custody.monitoring.days import GROUPINGS, TOGETHER, WEEKEND, Days, weekly
from custody.monitoring.reference import REFERENCE_SHARE, Reference, Tolerance, assembled, checked, count_events, events_of


@dataclass(frozen=True, slots=True)
class Calendar:
    """One reference for each group of weekdays, all with the same events and digest, so that one state runs over all days.

    groups: the place of each weekday's reference, Monday first.
    """

    groups: tuple[int, ...]
    references: tuple[Reference, ...]

    def on(self, day: date) -> Reference:
        """Return the reference to look at a day's batch with; rows of several days are several looks, one for each."""
        return self.references[self.groups[day.weekday()]]

    @property
    def digest(self) -> Digest:
        """Return the digest that states carry, the same for all weekdays."""
        return self.references[0].digest

    @property
    def sentence(self) -> str:
        """Say which days are compared with which."""
        if self.groups == TOGETHER:
            return "No weekly pattern is shown: all days are compared with all days."
        if self.groups == WEEKEND:
            return "Weekends differ: they are compared with weekends, working days with working days."
        return "Weekdays differ: each is compared with the same weekday."


def calendar_of(days: Mapping[date, Summary], tolerance: Tolerance | None = None, *, clustered: bool = False) -> Calendar:
    """Prepare the references of a quiet phase, by weekday if its days show a weekly pattern.

    days: one summary per day, same specs; it takes 14 of them to split any off. clustered: as in `reference_of`. What days of
    one group vary by is tolerated, as there; so is a pattern that is not shown.
    Valid whatever is chosen: the bands' alpha is divided by the three ways to group days, since the same days choose, and by
    the groups; given that no band misses, each look's bets have mean <= 1 against its own weekday's limits, so their product
    over looks is an e-process as before. What is split has fewer rows, hence wider bands.
    Raises: InvalidInput as `reference_of`, or if there is no day.
    """
    chosen = tolerance or Tolerance()
    if not days:
        raise InvalidInput("A calendar needs the summaries of days.", fix="Use reference_of where there is only one summary.")
    whole = reduce(merge, days.values(), empty(next(iter(days.values())).specs))
    checked(whole, chosen)
    events, kept = events_of(whole), {day: one for day, one in days.items() if one.rows}
    weekdays = [day.weekday() for day in kept]
    seen = Days.of([count_events(events, one) for one in kept.values()], [one.rows for one in kept.values()], len(events))
    groups = weekly(seen, weekdays, chosen.notice)
    alpha = REFERENCE_SHARE * chosen.alpha / len(GROUPINGS) / (max(groups) + 1)
    found = []
    for group in range(max(groups) + 1):
        mine = [one for day, one in kept.items() if groups[day.weekday()] == group]
        merged = reduce(merge, mine, empty(whole.specs))
        around = seen.grouped(weekdays, groups)
        found.append(assembled(merged, events, chosen, alpha=alpha, days=around, clustered=clustered))
    digest = digest_of_json([[*groups], [one.digest for one in found]])
    return Calendar(groups, tuple(replace(one, digest=digest) for one in found))
