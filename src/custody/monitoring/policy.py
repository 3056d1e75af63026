"""What is watched on a deployment, how much change is tolerated, and what follows from an alarm."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from custody.core.digest import Digest, digest_of_json
from custody.core.errors import InvalidInput

WATCHED = ("accuracy", "precision", "recall", "specificity", "f1", "auc")
_WINDOW = re.compile(r"([1-9][0-9]{0,6}) (labels?|days?|hours?)")


class OnDegradation(StrEnum):
    """What follows when performance is shown to be worse than tolerated."""

    ALERT = "alert"
    RETRAIN = "retrain"


class PastDue(StrEnum):
    """What follows when a version in service owes an answer to an erasure past its due date."""

    ALERT = "alert"
    ROLL_BACK = "roll_back"


@dataclass(frozen=True, slots=True)
class MonitorPolicy:
    """One deployment's monitoring; every field has a default.

    metric: one of WATCHED, tolerance: how far it may fall, 0..1, alpha: chance of any false performance alarm over all windows.
    window: when labels are judged, `500 labels`, `7 days` or `12 hours`; fewer than min_labels of the metric are inconclusive.
    drift_alpha: chance of any false drift alarm, a third each for training, development and labels; notice, alarm, quality: points of share, see `Tolerance`.
    development_days: of a version's first answers, its second reference; from 14 on weekdays are compared with weekdays if they
    differ. clustered: rows of one day hang together, as many requests of one user do; development then takes a week.
    embedding: how texts are read for drift, `hashed` or a model in the project's folder `embeddings`, empty for not at all; their
    detector then shares drift_alpha as a fourth. embedded_share: of captured texts that are embedded.
    look_rows: answers that make one look of the drift detectors; fewer wait, but not longer than look_hours.
    canary_share: of requests that a retrained version answers first, canary_min_labels: before it may take over.
    min_coverage: share of predictions that should have a label; max_age_days: of the newest evaluation; quiet_hours: without a
    prediction; past these the deployment is degraded.
    past_due: what follows, beside an alert, when a version in service has an obligation past its due date; roll_back returns to
    the last version that has none, and takes a candidate away.
    Raises: InvalidInput naming every wrong field at once.
    """

    metric: str = "accuracy"
    tolerance: float = 0.02
    alpha: float = 0.05
    min_labels: int = 30
    window: str = "500 labels"
    drift_alpha: float = 0.05
    notice: float = 0.02
    alarm: float = 0.05
    quality: float = 0.005
    development_days: int = 1
    clustered: bool = False
    embedding: str = ""
    embedded_share: float = 0.1
    look_rows: int = 200
    look_hours: float = 24.0
    on_degradation: OnDegradation = OnDegradation.ALERT
    canary_share: float = 0.1
    canary_min_labels: int = 200
    min_coverage: float = 0.0
    max_age_days: float = 7.0
    quiet_hours: float = 24.0
    past_due: PastDue = PastDue.ALERT
    version: int = 1

    def __post_init__(self) -> None:
        wrong = _wrong(self)
        if wrong:
            raise InvalidInput(
                f"The monitoring policy has {len(wrong)} wrong field{'s' * (len(wrong) > 1)}: {', '.join(wrong)}.",
                why=" ".join(f"{name} must be {rule}." for name, rule in wrong.items()),
                fix="Correct these fields; all others have defaults.",
                facts={"wrong": list(wrong)},
            )

    @property
    def digest(self) -> Digest:
        """Return the digest of all fields; past_due came later, and counts once it is set, so that older digests stay true."""
        fields = asdict(self)
        if self.past_due is PastDue.ALERT:
            del fields["past_due"]
        return digest_of_json(fields)

    def closed(self, labels: int, start: datetime, now: datetime) -> bool:
        """Tell whether a window that began at `start` and holds `labels` new labels is due to be judged."""
        size, unit = _WINDOW.fullmatch(self.window).groups()  # type: ignore[union-attr]  # checked when made
        if unit.startswith("label"):
            return labels >= int(size)
        return now - start >= (timedelta(days=int(size)) if unit.startswith("day") else timedelta(hours=int(size)))


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _between(value: float, low: float, high: float, *, ends: bool) -> bool:
    return _is_number(value) and (low <= value <= high if ends else low < value < high)


def _wrong(policy: MonitorPolicy) -> Mapping[str, str]:
    """Return the rule that each wrong field breaks, by field name."""
    counts = ("min_labels", "canary_min_labels", "look_rows", "development_days")
    inside = ("alpha", "drift_alpha", "notice", "alarm", "quality")
    shares = ("tolerance", "canary_share", "min_coverage", "embedded_share")
    times = ("max_age_days", "quiet_hours", "look_hours")
    wrong = {
        name: "a whole number, 1 or more"
        for name in counts
        if type(getattr(policy, name)) is not int or getattr(policy, name) < 1
    }
    wrong |= {name: "between 0 and 1, both excluded" for name in inside if not _between(getattr(policy, name), 0, 1, ends=False)}
    wrong |= {name: "between 0 and 1" for name in shares if not _between(getattr(policy, name), 0, 1, ends=True)}
    wrong |= {name: "more than 0" for name in times if not _between(getattr(policy, name), 0, 1e6, ends=False)}
    if "alarm" not in wrong and "notice" not in wrong and policy.alarm < policy.notice:
        wrong["alarm"] = "at least notice"
    if policy.metric not in WATCHED:
        wrong["metric"] = f"one of {', '.join(WATCHED)}"
    if not _WINDOW.fullmatch(str(policy.window)):
        wrong["window"] = "like '500 labels', '7 days' or '12 hours'"
    if policy.on_degradation not in set(OnDegradation):
        wrong["on_degradation"] = "alert or retrain"
    if policy.past_due not in set(PastDue):
        wrong["past_due"] = "alert or roll_back"
    if policy.version != 1:
        wrong["version"] = "1"
    return wrong
