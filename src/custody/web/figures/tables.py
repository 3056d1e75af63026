"""Tables of the pages as rows of values, for CSV: numbers unrounded, times in ISO 8601, empty where nothing is known."""

import csv
import io
from collections.abc import Iterable, Sequence
from datetime import datetime

from custody.core.evidence import Estimate
from custody.lifecycle.views import DeploymentView, ServiceRow
from custody.web.figures.measurements import windows
from custody.web.figures.words import iso

Row = Sequence[str | int | float | None]
_SERVICE = (
    *(
        "deployment",
        "tenant",
        "environment",
        "name",
        "revision",
        "model",
        "threshold",
        "candidate",
        "handling",
        "state",
        "reason",
    ),
    *("metric", "value", "low", "high", "n", "registered", "coverage", "psi", "psi_expected", "drift_level"),
    *("latency_p95_ms", "predictions", "cost", "currency", "last_prediction_at", "deployed_at"),
)


def _time(at: datetime | None) -> str | None:
    return iso(at) if at else None


def _estimate(one: Estimate | None) -> Row:
    return (one.metric, one.value, one.low, one.high, one.n) if one else (None,) * 5


def service_table(rows: Iterable[ServiceRow]) -> list[Row]:
    """Return the overview's table with its header."""
    return [
        _SERVICE,
        *(
            (
                *(row.deployment, row.tenant, row.environment, row.name, row.revision, row.model, row.threshold, row.candidate),
                *(row.handling.unusual, row.state, row.reason),
                *_estimate(row.metric),
                *(row.registered.value if row.registered else None, row.coverage),
                *(row.drift[-1] if row.drift else None, row.drift_expected, row.drift_level),
                *(row.latency_p95_ms, row.predictions, row.cost, row.currency, _time(row.last_prediction_at)),
                _time(row.deployed_at),
            )
            for row in rows
        ),
    ]


def deployment_tables(view: DeploymentView) -> dict[str, list[Row]]:
    """Return a deployment's tables by name, each with its header; `evaluations` is the main one."""
    metric = view.row.metric or view.row.registered
    return {
        "evaluations": [
            ("start", "end", "model", "metric", "value", "low", "high", "n", "predictions", "labelled", "cost"),
            *(
                (iso(w.start), iso(w.end), w.model, *_estimate(w.estimate), w.predictions, w.labelled, w.cost)
                for w in windows(view.evaluations, metric.metric if metric else None)
            ),
        ],
        "looks": [
            ("reference", "at", "rows", "psi", "psi_expected", "log10_e", "level", "sentence"),
            *((k.reference, iso(k.at), k.rows, k.psi, k.psi_expected, k.log10_e, k.level, k.sentence) for k in view.looks),
        ],
        "slices": [
            ("column", "group", "labelled", "metric", "value", "low", "high", "n"),
            *((s.column, s.group, s.labelled, *_estimate(s.estimate)) for s in view.slices),
        ],
        "beside": [
            ("model", "threshold", "mode", "rows", "latency_p50_ms", "latency_p95_ms", "metric", "value", "low", "high", "n"),
            *(
                (one.model, one.threshold, mode, one.rows, one.latency_p50_ms, one.latency_p95_ms, *_estimate(metric))
                for mode, one in (view.beside.both if view.beside else ())
                for metric in (one.rate, *one.metrics)
            ),
        ],
        "timeline": [
            ("revision", "at", "action", "actor", "reason", "model", "threshold", "candidate"),
            *((r.number, iso(r.at), r.action, r.actor, r.reason, r.model, r.threshold, r.candidate) for r in view.timeline),
        ],
    }


def spreadsheet(rows: Iterable[Row]) -> bytes:
    """Write rows as CSV in UTF-8; a text that a spreadsheet would run as a formula gets a leading apostrophe."""
    text = io.StringIO()
    out = csv.writer(text)
    for row in rows:
        out.writerow(
            [f"'{cell}" if isinstance(cell, str) and cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell for cell in row]
        )
    return text.getvalue().encode()
