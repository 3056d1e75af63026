"""Golden sets: cases that must not get worse from one version to the next."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from custody.core.digest import Digest, Json, digest_of_json
from custody.core.errors import InvalidInput

Value = float | int | str | bool | None


@dataclass(frozen=True, slots=True)
class GoldenCase:
    """One case: the model's inputs and the class it must decide.

    severity `critical`: must pass, even if no version ever passed it; `normal`: must not get worse.
    """

    id: str
    inputs: dict[str, Value]
    expect: str
    severity: str = "normal"
    slice: str = ""


@dataclass(frozen=True, slots=True)
class GoldenSet:
    """The cases of one model name; a change is a new version."""

    model: str
    version: int
    cases: tuple[GoldenCase, ...]
    created_at: datetime

    @property
    def digest(self) -> Digest:
        """Return the digest of the cases, in any order."""
        cases: list[Json] = [
            [case.id, dict(case.inputs), case.expect, case.severity, case.slice]
            for case in sorted(self.cases, key=lambda case: case.id)
        ]
        return digest_of_json(cases)


def cases_of(rows: Sequence[Json]) -> tuple[GoldenCase, ...]:
    """Build cases from parsed JSONL rows; all faults are reported at once, by line."""
    cases, faults, seen = [], [], set[str]()
    for line, row in enumerate(rows, 1):
        if not isinstance(row, dict) or not isinstance(row.get("inputs"), dict) or not isinstance(row.get("expect"), str):
            faults.append(f"line {line}: a case needs 'inputs' (a mapping) and 'expect' (the class it must decide)")
            continue
        identity, severity = str(row.get("id") or f"case-{line}"), str(row.get("severity") or "normal")
        if identity in seen:
            faults.append(f"line {line}: the id is used twice")
        if severity not in ("normal", "critical"):
            faults.append(f"line {line}: 'severity' must be normal or critical")
        seen.add(identity)
        cases.append(GoldenCase(identity, row["inputs"], row["expect"], severity, str(row.get("slice") or "")))  # type: ignore[arg-type]  # checked against the signature by lifecycle
    if faults or not cases:
        raise InvalidInput(
            "The golden set cannot be used: " + ("; ".join(faults[:20]) or "it has no cases") + ".",
            fix='One JSON object a line: {"id": "young-first-arrest", "inputs": {"age": 18}, "expect": "Yes"}',
            facts={"faults": faults[:20]},
        )
    return tuple(cases)
