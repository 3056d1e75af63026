"""The measured numbers beside their targets, on the terminal and in the documentation."""

import math
import re
import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from plan import Row, Values

_BEGIN, _END = "<!-- measured: begin -->", "<!-- measured: end -->"


def print_table(rows: Sequence[Row], found: Values, rounds: int, problems: Sequence[str], conditions: Mapping[str, Any]) -> int:
    """Print the table and what went wrong; return how many musts fall short."""
    print(
        f"\n{_said(conditions)}\nCPU of the server's processes per request; peer / custody where nothing else is said; x = times\n"
    )
    print(f"{'':52} {'measured [min-max]':>24} {'must':>9} {'design':>9} {'expected':>9}")
    short = unknown = 0
    for row in rows:
        verdict = row.verdict(found, rounds)
        short += verdict == "short"
        unknown += verdict == "not measured" and row.must is not None
        bounds = [f"{one:>9}" for one in _bounds(row, found, rounds)]
        print(f"{row.title:52} {_measured(row, row.values(found, rounds)):>24} {' '.join(bounds)}  {verdict}")
    for problem in problems:
        print(f"PROBLEM {problem}")
    musts = sum(row.must is not None for row in rows)
    print(f"\n{short} of {musts} musts fall short, {unknown} were not measured; absolute values: .bench/serving.json")
    return short


def _said(conditions: Mapping[str, Any]) -> str:
    machine, loads = conditions["machine"], conditions["load_average_before_and_after"]
    return (
        f"{conditions['rounds']} rounds of {conditions['seconds_per_load']} s a load in {conditions['minutes']} minutes on "
        f"{machine['cpus']} ({machine['instructions']}), Python {machine['python']}; "
        f"load average before {loads[0][0]}, after {loads[1][0]} (this benchmark alone is about 2)"
    )


def _number(value: float) -> str:
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _measured(row: Row, values: Sequence[float]) -> str:
    if not values:
        return "-"
    return f"{_number(statistics.median(values))}{row.unit} [{_number(min(values))}-{_number(max(values))}]"


def _bounds(row: Row, found: Values, rounds: int) -> Iterator[str]:
    """Return what decides, what the design says must be reached, and what it expects."""
    for bound in (row.bound(found, rounds), row.must, row.expected):
        yield "-" if bound is None else f"{'<=' if row.less else '>='} {bound:.3g}"


def publish(page: Path, rows: Sequence[Row], found: Values, rounds: int, conditions: Mapping[str, Any]) -> None:
    """Write the table, the absolute values and the versions between the marks of a page."""
    text = page.read_text()
    lines = [
        _BEGIN,
        "",
        f"{_said(conditions)}.",
        "",
        *_ratios(rows, found, rounds),
        "",
        *_absolute(found),
        "",
        *_versions(conditions),
        "",
        _END,
    ]
    page.write_text(re.sub(f"{_BEGIN}.*{_END}", lambda _: "\n".join(lines), text, flags=re.DOTALL))


def _ratios(rows: Sequence[Row], found: Values, rounds: int) -> Iterator[str]:
    yield "| CPU per request, peer / custody | measured [min-max] | must | design | expected | |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for row in rows:
        values = row.values(found, rounds)
        if values:
            bounds = " | ".join(_bounds(row, found, rounds))
            yield f"| {row.title} | {_measured(row, values)} | {bounds} | {row.verdict(found, rounds)} |"


def _absolute(found: Values) -> Iterator[str]:
    yield "| server, model, load | median |"
    yield "| --- | --- |"
    for name, values in sorted(found.items()):
        if known := [value for value in values if not math.isnan(value)]:
            unit = {"ready": "s", "pss": "MiB"}.get(name.rpartition(" ")[2], "CPU us per request")
            yield f"| {name} | {_number(statistics.median(known))} {unit} |"


def _versions(conditions: Mapping[str, Any]) -> Iterator[str]:
    yield "Versions:"
    yield ""
    for peer, found in conditions["versions"].items():
        yield f"- {peer}: {', '.join(f'{name} {version}' for name, version in found.items())}"
