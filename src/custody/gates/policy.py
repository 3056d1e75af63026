"""What a model must show before it may be deployed; fixed before the run that it judges."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime

from custody.core.digest import Digest, Json, digest_of_json
from custody.core.errors import InvalidInput
from custody.core.refs import near

METRICS = ("accuracy", "precision", "recall", "specificity", "f1", "auc", "selection_rate")
MEASURES = ("selection_rate", "recall", "false_positive_rate")


@dataclass(frozen=True, slots=True)
class MetricRule:
    """The metric's lower bound must reach `minimum`, and its value may lie at most `max_drop` below the baseline's.

    threshold: judge it there only; None means at every threshold of the policy.
    """

    metric: str
    minimum: float | None = None
    max_drop: float | None = None
    threshold: float | None = None


@dataclass(frozen=True, slots=True)
class BiasRule:
    """The gap of `measure` between any two groups of `column` must be shown to be at most `tolerance` (0..1).

    column: `sex*region` names the groups of two columns together, two at most. ratio: judge the smaller share over the larger
    instead, which must be shown to be at least this (0.8 is the four-fifths rule); None judges the difference.
    """

    column: str
    measure: str
    tolerance: float = 0.05
    alpha: float = 0.05
    min_n: int = 100
    ratio: float | None = None


@dataclass(frozen=True, slots=True)
class Policy:
    """The gate of one model name; a change is a new version.

    max_difference: largest allowed score difference after conversion. max_flips: decisions that may change.
    valid_days: how long a passing verdict lets its model be deployed. thresholds: where decisions are judged; a model is
    deployed at one of these only. Golden cases are judged at the first.
    """

    model: str
    version: int
    created_at: datetime
    metrics: tuple[MetricRule, ...] = ()
    bias: tuple[BiasRule, ...] = ()
    max_difference: float = 1e-4
    max_flips: int = 0
    golden_required: bool = True
    valid_days: int = 30
    thresholds: tuple[float, ...] = (0.5,)

    @property
    def digest(self) -> Digest:
        """Return the digest of the rules; the version number and date do not count."""
        rules: dict[str, Json] = {k: v for k, v in asdict(self).items() if k not in ("version", "created_at")}
        plain = [asdict(rule) for rule in self.bias]
        rules["bias"] = [
            {k: v for k, v in rule.items() if (k, v) != ("ratio", None)} for rule in plain
        ]  # as before there were ratios
        return digest_of_json(rules)


_NUMBERS = {"max_difference": (1e-4, 1), "max_flips": (0, 10**9), "valid_days": (30, 3650)}  # default, most
_KNOWN = ("metrics", "bias", "golden_required", "thresholds", *_NUMBERS)


def policy_of(model: str, values: Mapping[str, Json], *, version: int, now: datetime) -> Policy:
    """Build a policy from parsed YAML or JSON; all faults are reported at once."""
    faults = _unknown(values, _KNOWN)
    rules = [_metric_rule(item, faults) for item in _items(values, "metrics", faults)]
    bias = [_bias_rule(item, faults) for item in _items(values, "bias", faults)]
    numbers: dict[str, float] = {}
    for key, (default, most) in _NUMBERS.items():
        value = values.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
            faults.append(f"'{key}' must be a number from 0 to {most}")
        else:
            numbers[key] = value
    thresholds = _thresholds(values.get("thresholds", [0.5]), faults)
    faults += [
        f"the rule for '{rule.metric}' names the threshold {rule.threshold:g}, which is none of 'thresholds': nothing would judge it"
        for rule in rules
        if rule.threshold is not None and rule.threshold not in thresholds
    ]
    if faults:
        raise InvalidInput(
            f"The gate policy of '{model}' cannot be used: " + "; ".join(faults) + ".",
            fix="See an example: custody gate set --help",
            facts={"faults": faults},
        )
    return Policy(
        model=model,
        version=version,
        created_at=now,
        metrics=tuple(rules),
        bias=tuple(bias),
        golden_required=bool(values.get("golden_required", True)),
        max_difference=float(numbers["max_difference"]),
        max_flips=int(numbers["max_flips"]),
        valid_days=int(numbers["valid_days"]),
        thresholds=thresholds,
    )


def _unknown(values: Mapping[str, Json], known: Sequence[str]) -> list[str]:
    return [
        f"unknown setting '{key}'" + (f" (did you mean '{close[0]}'?)" if (close := near(key, known)) else "")
        for key in values
        if key not in known
    ]


def _items(values: Mapping[str, Json], key: str, faults: list[str]) -> list[dict[str, Json]]:
    items = values.get(key, [])
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        faults.append(f"'{key}' must be a list of mappings")
        return []
    return [item for item in items if isinstance(item, dict)]


def _number(item: Mapping[str, Json], key: str, faults: list[str], default: float | None = None) -> float | None:
    value = item.get(key, default)
    if value is None or (isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1):
        return value
    faults.append(f"'{key}' must be a number from 0 to 1")
    return None


def _metric_rule(item: Mapping[str, Json], faults: list[str]) -> MetricRule:
    faults += _unknown(item, [field.name for field in fields(MetricRule)])
    metric = str(item.get("metric"))
    if metric not in METRICS:
        faults.append(f"'{metric}' is not a metric ({', '.join(METRICS)})")
    minimum, drop = _number(item, "minimum", faults), _number(item, "max_drop", faults)
    if minimum is None and drop is None:
        faults.append(f"the rule for '{metric}' needs 'minimum' or 'max_drop'")
    return MetricRule(metric, minimum, drop, _number(item, "threshold", faults))


def _thresholds(value: Json, faults: list[str]) -> tuple[float, ...]:
    items = value if isinstance(value, list) else [value]
    numbers = [float(i) for i in items if isinstance(i, int | float) and not isinstance(i, bool) and 0 <= i <= 1]
    if len(numbers) != len(items) or not numbers:
        faults.append("'thresholds' must be a list of numbers from 0 to 1")
    return tuple(dict.fromkeys(numbers))


def _bias_rule(item: Mapping[str, Json], faults: list[str]) -> BiasRule:
    faults += _unknown(item, [field.name for field in fields(BiasRule)])
    measure = str(item.get("measure"))
    if measure not in MEASURES:
        faults.append(f"'{measure}' is not a bias measure ({', '.join(MEASURES)})")
    if not isinstance(item.get("column"), str):
        faults.append("a bias rule needs a 'column'")
    elif str(item["column"]).count("*") > 1:
        faults.append(f"'{item['column']}' joins more than two columns: groups get too small to judge")
    ratio = _number(item, "ratio", faults)
    tolerance, alpha = _number(item, "tolerance", faults, 0.05), _number(item, "alpha", faults, 0.05)
    if alpha in {0, 1}:
        faults.append("'alpha' must be between 0 and 1, both excluded")
    min_n = item.get("min_n", 100)
    if not isinstance(min_n, int) or min_n < 1:
        faults.append("'min_n' must be a whole number of at least 1")
        min_n = 100
    return BiasRule(str(item.get("column")), measure, tolerance or 0.0, alpha or 0.05, min_n, ratio or None)
