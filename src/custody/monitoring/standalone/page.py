"""A comparison as a page: no script, no other file, light and dark; every name in it is escaped."""

from collections.abc import Iterable
from html import escape
from math import floor, log10

from custody.core.measures.spec import Kind
from custody.core.measures.summary import ColumnSummary
from custody.monitoring.report import ColumnDrift, DriftReport, Level
from custody.monitoring.standalone.plots import STYLE, plot
from custody.monitoring.standalone.profile import Profile

SHOWN = 50  # columns whose plots are on the page; the others are lines of the table
_NAMES = {"ks": "KS", "wasserstein": "Wasserstein", "psi": "PSI", "js": "JS", "chi_squared": "chi-squared"}
_CSS = (
    ".cd{color-scheme:light dark;color:light-dark(#1a2029,#e6e9ee);font:14px/1.5 system-ui,sans-serif;max-width:1080px}"
    'body[data-jp-theme-light="true"] .cd,.vscode-light .cd{color-scheme:light}'
    'body[data-jp-theme-light="false"] .cd,.vscode-dark .cd{color-scheme:dark}'
    ".cd h1{font-size:20px;margin:0 0 4px}.cd p{margin:4px 0}.cd .m{color:light-dark(#5b6673,#97a3b2)}"
    ".cd table{border-collapse:collapse;width:100%;margin:8px 0;font-size:13px}"
    ".cd th{text-align:left;font-weight:600;color:light-dark(#5b6673,#97a3b2)}"
    ".cd th,.cd td{padding:4px 10px 4px 0;border-bottom:1px solid light-dark(#e3e7ec,#272e38);vertical-align:top;text-align:left}"
    ".cd .n{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}.cd .o{overflow-wrap:anywhere}"
    ".cd .w{overflow-x:auto}.cd .w table{min-width:760px}.cd b.alarm{color:light-dark(#b3261e,#ff8b82)}.cd b.notice{color:light-dark(#8a5300,#f0b755)}"
    ".cd b.none{color:light-dark(#146c43,#56d39b);font-weight:400}"
    ".cd details{border:1px solid light-dark(#e3e7ec,#272e38);border-radius:8px;padding:6px 12px;margin:8px 0}"
    ".cd summary{cursor:pointer}"
    ".cd .f{display:grid;grid-template-columns:repeat(auto-fit,minmax(260px,1fr));gap:6px 18px;align-items:start}"
)


def document(report: DriftReport, reference: Profile, current: Profile) -> str:
    """Write a whole page."""
    head = '<!doctype html><html lang="en"><head><meta charset="utf-8">'
    head += '<meta name="viewport" content="width=device-width,initial-scale=1"><title>Drift</title>'
    look = "<style>:root{color-scheme:light dark}body{margin:24px;background:light-dark(#f7f8fa,#0e1116)}</style></head><body>"
    return f"{head}{look}{fragment(report, reference, current)}</body></html>\n"


def fragment(report: DriftReport, reference: Profile, current: Profile) -> str:
    """Write what a notebook shows below a cell."""
    lines = "".join(_line(one, _pair(one, reference, current)) for one in report.columns)
    heads = "<th>column<th>drift<th>what moved<th class=n>evidence<th colspan=2>distance<th class=n>missing"
    table = f"<table><tr>{heads}{lines}</table>"
    shown = report.columns[:SHOWN]
    parts = "".join(_details(one, *_pair(one, reference, current)) for one in shown)
    rest = f'<p class="m">Not drawn: {len(report.columns) - SHOWN} more columns.</p>' if len(report.columns) > SHOWN else ""
    return f'<div class="cd"><style>{_CSS}{STYLE}</style>{_head(report, reference, current)}<div class="w">{table}</div>{parts}{rest}</div>'


def headline(report: DriftReport) -> str:
    """Say the outcome in one sentence."""
    count, total = len(report.drifting), len(report.columns)
    if count:
        return f"{count} of {total} columns drift{'s' * (count == 1)}: {report.drifting[0].sentence}."
    if report.level is not Level.NONE:
        return f"The {total} columns together drift, though none alone surely."
    return f"No drift is shown in {total} columns."


def _pair(column: ColumnDrift, reference: Profile, current: Profile) -> tuple[ColumnSummary, ColumnSummary]:
    return reference.summary.column(column.column), current.summary.column(column.column)


def _head(report: DriftReport, reference: Profile, current: Profile) -> str:
    looks = f" Evidence is of {report.looks:,} looks at {report.rows:,} rows." if report.looks > 1 else ""
    least = report.needed_log10_e
    sides = (("Reference", "grey", reference), ("Current", "blue", current))
    rows = " ".join(f"{side}: {escape(one.name)}{', ' if one.name else ''}{one.rows:,} rows ({hue})." for side, hue, one in sides)
    evidence = (
        "Evidence is the power of ten by which the rows speak for drift beyond the tolerance. A column drifts from "
        f"{least:.1f} to {least + log10(len(report.columns)):.1f} on: the more columns do, the less each needs. "
        "Distances stand beside what they read with no drift, and decide nothing."
    )
    level = report.level.value
    said = [f"<h1>Drift: <b class={level}>{level}</b></h1><p>{escape(headline(report))}</p>"]
    said += [f'<p class="m">{rows}{looks} {evidence}</p>']
    said += [f'<p class="m">Careful: {escape(report.warning)}.</p>'] if report.warning else []
    ignored = dict.fromkeys((*reference.ignored, *current.ignored))
    said += [f'<p class="m">Not compared: {escape(", ".join(ignored))}.</p>'] if ignored else []
    return "".join(said)


def _cells(*cells: str, kinds: str = "") -> str:
    """Write a table's row; `kinds` has a letter for each cell: n, a number; o, may break anywhere; w, neither."""
    return "<tr>" + "".join(f"<td class={kind}>{cell}" for kind, cell in zip(kinds, cells, strict=True))


def _line(column: ColumnDrift, pair: tuple[ColumnSummary, ColumnSummary]) -> str:
    level, said = column.level.value, escape(column.sentence) if column.level is not Level.NONE else ""
    chosen = next((one for one in column.distances if one.name in {"ks", "js"}), None)
    far = f"{_NAMES[chosen.name]} {chosen.value:.3f}" if chosen else ""
    usual = f"<span class=m>{chosen.expected:.3f} with no drift</span>" if chosen else ""
    first, second = _shares(*pair, pair[0].null, pair[1].null)
    missing = first if first == second else f"{first} \N{RIGHTWARDS ARROW} {second}"
    evidence = f"{column.log10_e:.1f}"
    return _cells(escape(column.column), f"<b class={level}>{level}</b>", said, evidence, far, usual, missing, kinds="owonnnn")


def _details(column: ColumnDrift, reference: ColumnSummary, current: ColumnSummary) -> str:
    drawn, level = plot(reference, current), column.level
    far = "".join(_cells(_NAMES[one.name], f"{one.value:.4g}", f"{one.expected:.2g}", kinds="wnn") for one in column.distances)
    distances = f"<table><tr><th>distance<th class=n>value<th class=n>with no drift{far}</table>" if far else ""
    rows = [_cells(*cells, kinds="wnn") for cells in _facts(reference, current)]
    facts = f"<table><tr><th><th class=n>reference<th class=n>current{''.join(rows)}</table>"
    opened = " open" if level is not Level.NONE else ""
    head = f"<summary class=o>{escape(column.column)}: <b class={level.value}>{level.value}</b></summary><p class=o>{escape(column.sentence)}</p>"
    return f"<details{opened}>{head}<div class=f>{drawn}<div>{facts}{distances}</div></div></details>"


def _facts(reference: ColumnSummary, current: ColumnSummary) -> Iterable[tuple[str, str, str]]:
    first, second = reference, current
    yield "missing", *_shares(first, second, first.null, second.null)
    if first.spec.kind is Kind.CATEGORY:
        return
    if first.nan or second.nan:
        yield "not a number", *_shares(first, second, first.nan, second.nan)
    if first.high + first.low or second.high + second.low:
        yield "infinite", *_shares(first, second, first.high + first.low, second.high + second.low)
    sides = (first.quantiles((0.05, 0.5, 0.95)), second.quantiles((0.05, 0.5, 0.95)))
    for place, name in enumerate(("5 % are below", "median", "95 % are below")):
        before, now = (_said(found[place], first.spec.scale) if found else "" for found in sides)
        yield name, before, now


def _shares(first: ColumnSummary, second: ColumnSummary, a: int, b: int) -> tuple[str, str]:
    before, now = (f"{100 * count / max(one.rows, 1):.3g} %" if count else "none" for one, count in ((first, a), (second, b)))
    return before, now


def _said(value: float, scale: float) -> str:
    """Write a value, not finer than a hundredth or so of the column's scale."""
    return f"{round(value, 2 - floor(log10(scale))) + 0.0:.12g}"
