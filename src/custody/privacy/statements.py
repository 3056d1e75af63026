"""Reads what consent systems hand over: one row a statement, each turned into a record that holds a token for the person."""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

from custody.core.digest import Json
from custody.core.errors import InvalidInput
from custody.core.refs import near
from custody.privacy.consent import ConsentRecord, Said
from custody.privacy.purposes import fault_of

COLUMNS = ("subject", "purpose", "status", "valid_from", "valid_to", "source", "notice", "children")
NEEDED = ("subject", "purpose", "status", "valid_from")
_YES = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False, "": False}
_SHOWN = 20  # faults in a message
_WORD = re.compile(r"[A-Za-z][A-Za-z_]{0,30}")


def records_of(
    rows: Sequence[Mapping[str, Json]], token: Callable[[str], str], now: datetime, *, source: str = ""
) -> tuple[ConsentRecord, ...]:
    """Build records; all faults are reported at once, by row, and never with the person's name.

    source: of rows that name none. Times are ISO 8601, a date means its first moment, without a zone UTC is meant.
    """
    unknown = sorted({name for row in rows for name in row} - set(COLUMNS))
    faults = [f"unknown column {_shown(name)}{_hint(name)}" for name in unknown]
    made = [record for line, row in enumerate(rows, 1) if (record := _record(line, row, token, now, source, faults)) is not None]
    if faults or not rows:
        raise InvalidInput(
            "The consent records cannot be used: " + ("; ".join(faults[:_SHOWN]) or "there are none") + ".",
            why=f"{len(faults)} faults in {len(rows)} rows." if faults else "",
            fix=f"Columns: {', '.join(NEEDED)}, and optionally {', '.join(set_aside())}. status is {', '.join(Said)}.",
            facts={"faults": faults[:_SHOWN]},
        )
    return tuple(made)


def set_aside() -> list[str]:
    """Return the columns that a file may leave out."""
    return [name for name in COLUMNS if name not in NEEDED]


def _shown(name: str) -> str:
    """Quote a name that reads like a column's; what else stands there may be a person, as in a file without a header."""
    return f"'{name}'" if _WORD.fullmatch(name) else "whose name is no column name (is there a header line?)"


def _hint(name: str) -> str:
    close = near(name, COLUMNS)
    return f" (did you mean '{close[0]}'?)" if close else ""


def _record(
    line: int, row: Mapping[str, Json], token: Callable[[str], str], now: datetime, source: str, faults: list[str]
) -> ConsentRecord | None:
    texts = {name: "" if row.get(name) is None else str(row[name]).strip() for name in COLUMNS}
    wrong = [f"'{name}' is missing" for name in NEEDED if not texts[name]]
    if texts["purpose"] and (fault := fault_of(texts["purpose"])):
        wrong.append(fault)
    if texts["status"] and texts["status"] not in list(Said):
        wrong.append(f"'status' must be {', '.join(Said)}")
    start, end = _time(texts["valid_from"], "valid_from", wrong), _time(texts["valid_to"], "valid_to", wrong)
    if start and end and end <= start:
        wrong.append("'valid_to' is not after 'valid_from'")
    if end and texts["status"] != Said.GRANTED:
        wrong.append("a refusal has no 'valid_to': it holds until a later grant")
    if texts["children"].lower() not in _YES:
        wrong.append("'children' must be true or false")
    if not (texts["source"] or source):
        wrong.append("'source' is missing")
    faults += [f"row {line}: {one}" for one in wrong]
    if wrong or start is None:
        return None
    return ConsentRecord(
        token(texts["subject"]),
        texts["purpose"],
        Said(texts["status"]),
        start,
        end,
        texts["source"] or source,
        texts["notice"],
        _YES[texts["children"].lower()],
        now,
    )


def _time(text: str, name: str, wrong: list[str]) -> datetime | None:
    if not text:
        return None
    try:
        at = datetime.fromisoformat(text)
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):  # the first hour of the year 1 has no time in UTC
        wrong.append(f"'{name}' is not a time such as 2026-03-01 or 2026-03-01T09:00:00Z")
        return None
