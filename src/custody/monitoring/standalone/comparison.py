"""Two sets of rows compared: what drifts, how surely, how far; shown by a notebook, saved as a page or as JSON."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from os import PathLike, fspath
from typing import Any

from custody.core.digest import Json
from custody.core.errors import InvalidInput
from custody.core.measures.spec import Kind
from custody.core.measures.summary import ColumnSummary
from custody.monitoring.detector import look, started
from custody.monitoring.reference import Tolerance, reference_of
from custody.monitoring.report import ColumnDrift, DriftReport, Level, report
from custody.monitoring.standalone import files
from custody.monitoring.standalone.page import document, fragment, headline
from custody.monitoring.standalone.plots import Plot, level_shares, plot
from custody.monitoring.standalone.profile import Profile, summarise

COMPARISON_VERSION = 1
QUANTILES = (0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0)


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a comparison found; at the end of a notebook's cell it shows itself, in a terminal `print` does.

    report: the evidence; `report.columns` with a sentence each, most evidence first. reference, current: the counts behind it.
    """

    report: DriftReport
    reference: Profile
    current: Profile
    tolerance: Tolerance

    @property
    def level(self) -> Level:
        """Return the highest level that a column, or all together, reached: none, notice or alarm."""
        return self.report.level

    @property
    def columns(self) -> tuple[ColumnDrift, ...]:
        """Return every compared column, most evidence first."""
        return self.report.columns

    @property
    def sentence(self) -> str:
        """Return the outcome in one sentence."""
        return headline(self.report)

    def plot(self, column: str) -> Plot:
        """Draw a column of both sides as SVG, which a notebook shows; an unknown one is InvalidInput."""
        return plot(self.reference.summary.column(column), self.current.summary.column(column))

    def to_html(self) -> str:
        """Write a page that needs no other file, no network and no script."""
        return document(self.report, self.reference, self.current)

    def to_json(self) -> dict[str, Json]:
        """Write everything, with the format's version; the same numbers as on the page, not rounded."""
        found, ignored = self.report, dict.fromkeys((*self.reference.ignored, *self.current.ignored))
        head: dict[str, Json] = {
            "level": found.level.value,
            "sentence": self.sentence,
            "warning": found.warning,
            "not_compared": [*ignored],
        }
        evidence = {"global_log10_e": found.global_log10_e, "needed_log10_e": found.needed_log10_e, "looks": found.looks}
        sides = {"reference": self.reference, "current": self.current}
        rows: dict[str, Json] = {name: {"name": one.name, "rows": one.rows} for name, one in sides.items()}
        columns: list[Json] = [
            {**asdict(one), **{name: _facts(side.summary.column(one.column)) for name, side in sides.items()}}
            for one in self.columns
        ]
        return {
            "version": COMPARISON_VERSION,
            **head,
            **evidence,
            **rows,
            "tolerance": asdict(self.tolerance),
            "columns": columns,
        }

    def save(self, path: str | PathLike[str]) -> None:
        """Write a page or JSON, as the name ends in .html or .json, packed if .gz or .zst follows; others are InvalidInput."""
        kind = fspath(path).removesuffix(".gz").removesuffix(".zst").rsplit(".", 1)[-1]
        if kind not in {"html", "json"}:
            raise InvalidInput(f"A comparison is not saved as .{kind}.", fix="Name the file .html or .json.")
        files.store_text(path, self.to_html() if kind == "html" else json.dumps(self.to_json(), allow_nan=False))

    def _repr_html_(self) -> str:
        return fragment(self.report, self.reference, self.current)

    def __str__(self) -> str:
        lines = [f"{one.level.value:6} {one.column}: {one.sentence}" for one in self.report.drifting]
        return "\n".join([f"{self.level.value}: {self.sentence}", *lines])


def _facts(column: ColumnSummary) -> dict[str, Json]:
    shared: dict[str, Json] = {"rows": column.rows, "null": column.null}
    if column.spec.kind is Kind.CATEGORY:
        return shared | {"levels": {**level_shares(column)}}
    special: dict[str, Json] = {"nan": column.nan, "positive_infinite": column.high, "negative_infinite": column.low}
    return shared | special | {"quantiles": dict(zip(map(str, QUANTILES), column.quantiles(QUANTILES), strict=False))}


def compare(
    reference: Any, current: Any, *, tolerance: Tolerance | None = None, columns: Sequence[str] | None = None
) -> Comparison:
    """Compare current rows with reference rows: what drifts, how surely, and how far.

    reference, current: a pandas or polars frame, an Arrow table, arrays by column name, the path of a Parquet file, or a
    profile (`summarise`) or its path; columns that only the current rows have are left out. columns: which ones to compare.
    The level is that of one look of the drift detector: `notice` or `alarm` if a share surely left the reference by more
    than the tolerance. To watch batch after batch use `Detector`: comparing each day anew finds drift by chance in the end.
    Raises: InvalidInput for anything else, an empty side, or a column that only the reference has; NotFound for no such file.

    >>> found = compare({"age": [31, 42, 38] * 900}, {"age": [31, 42, 71] * 900})
    >>> found.level.value, found.columns[0].sentence
    ('alarm', 'the share of age <= 42 went from 100 % to 67 %')
    """
    known = summarise(reference, columns=columns)
    now, prepared = summarise(current, like=known), reference_of(known.summary, tolerance)
    state = look(prepared, started(prepared), now.summary)
    return Comparison(report(prepared, state, now.summary), known, now, prepared.tolerance)
