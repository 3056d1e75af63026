"""Hand-made views of the dashboard: several tenants, every state, hostile text, and nothing at all."""

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from starlette.requests import Request

from custody.core.errors import Denied, NotFound
from custody.core.evidence import Check, Estimate, Outcome
from custody.core.manifest import Handling, Mode
from custody.core.measures.value import CostMatrix
from custody.core.refs import DatasetRef, DeploymentKey, ModelRef
from custody.core.tenancy import TenantId
from custody.lifecycle.beside import Answers, Beside
from custody.lifecycle.views import ChangeRow, DeploymentView, LineageNode, Overview, RevisionRow, ServiceRow
from custody.monitoring.alert import Alert, AlertKind, AlertState
from custody.monitoring.evaluation import Evaluation, Slice
from custody.monitoring.ports import Look

NOW = datetime(2026, 11, 23, 4, 14, 24, tzinfo=UTC)
HOSTILE = "<script>alert(1)</script>\u202e gnirts sdrawkcab \u2066 🦊👩‍👩‍👧‍👦 \"'&amp; {{ 7 * 7 }} " + "x" * 10_000


def estimate(value: float, n: int, metric: str = "f1") -> Estimate:
    half = 1.96 * math.sqrt(value * (1 - value) / n)
    return Estimate(metric, value, max(value - half, 0), min(value + half, 1), n)


def wave(base: float, rise: float, length: int = 40) -> tuple[float, ...]:
    return tuple(
        round(base * (1.1 + 0.5 * math.sin(i * 1.7) + 0.3 * math.cos(i * 0.9)) + rise * (i / length) ** 2, 4)
        for i in range(length)
    )


def service(
    tenant: str, name: str, state: str = "healthy", reason: str = "all checks hold and the evidence is fresh", **other: object
) -> ServiceRow:
    row = ServiceRow(
        deployment=f"{tenant}/prod/{name}",
        tenant=TenantId(tenant),
        environment="prod",
        name=name,
        revision=7,
        model=f"{name}@14",
        threshold=0.72,
        candidate=None,
        handling=Handling(),
        state=state,
        reason=reason,
        metric=estimate(0.842, 1204),
        registered=estimate(0.86, 4212),
        coverage=0.62,
        drift=wave(0.02, 0.01),
        drift_expected=0.021,
        drift_level="none",
        latency_p95_ms=12.4,
        predictions=182_340,
        cost=2_100.0,
        currency="EUR",
        last_prediction_at=NOW - timedelta(seconds=8),
        deployed_at=NOW - timedelta(days=41, hours=3),
    )
    return replace(row, **other)  # type: ignore[arg-type]  # a test's shorthand


WORST = service(
    "northwind",
    "churn-signal",
    "failing",
    "F1 0.712 is below the registered 0.860 on 412 labels",
    metric=estimate(0.712, 412),
    drift=wave(0.02, 0.28),
    drift_level="alarm",
    latency_p95_ms=81.0,
    cost=38_000.0,
    currency="USD",
    candidate="churn-signal@15 as canary, 10 %",
    handling=Handling(capture_share=0.1),
)
SERVICES = (
    WORST,
    service("northwind", "credit-default", "degraded", "drift: income_band <= 3 went from 25 % to 31 %", drift=wave(0.02, 0.15), drift_level="notice", cost=9_500.0, currency="USD", model="credit-default@7"),
    service("initech", "churn-signal", "degraded", "labels are 9 days late: 4 % of predictions have one", coverage=0.04, metric=estimate(0.79, 96), latency_p95_ms=83.0),
    service("globex", "intent-router", "unknown", "no labels yet, so nothing is known about quality", metric=None, coverage=0.0, cost=None, currency=None, model="intent-router@5", latency_p95_ms=45.0),
    service("umbrella-health", "triage", "unknown", "no prediction yet since revision 1", metric=None, registered=None, coverage=None, drift=(), drift_expected=None, latency_p95_ms=None, predictions=0, cost=None, currency=None, last_prediction_at=None, model="triage@3", revision=1),
    service("acme", "demand-forecast", model="demand-forecast@22", metric=estimate(0.91, 8210, "roc_auc"), registered=estimate(0.912, 9000, "roc_auc"), cost=None, currency=None, latency_p95_ms=34.0),
    service("hooli", "ad-quality", model="ad-quality@11", cost=-1_240.0, predictions=9_812_443, latency_p95_ms=2.3, candidate="ad-quality@12 as shadow"),
)  # fmt: skip


def change(seq: int, kind: str, subject: str, sentence: str, tenant: str = "northwind") -> ChangeRow:
    return ChangeRow(seq, NOW - timedelta(minutes=(1290 - seq) * 17), TenantId(tenant), "maria", kind, subject, sentence)


CHANGES = (
    change(1288, "alert.raised", "northwind/prod/churn-signal", "F1 0.712 [0.668, 0.756] on 412 is below 0.860"),
    change(1287, "rollout.step", "northwind/prod/churn-signal", 'canary: churn-signal@15 answers 10 % of requests, "fewer missed churners"'),
    change(1281, "gate.refused", "release@1", "refused: bias, selection_rate by colour", "acme"),
    change(1280, "gate.passed", "churn-signal@15", "passed 9 checks, good for 30 days"),
    change(1276, "labels.received", "initech/prod/churn-signal", "96 labels, 2 corrected", "initech"),
    change(1270, "dataset.ingested", "tickets@41", "1,204,118 rows under contract, consent checked"),
)  # fmt: skip


def overview(services: tuple[ServiceRow, ...] = SERVICES, next_page: str | None = None) -> Overview:
    states = [row.state for row in services]
    return Overview(
        as_of=NOW,
        services=services,
        healthy=states.count("healthy"),
        degraded=states.count("degraded"),
        failing=states.count("failing"),
        unknown=states.count("unknown"),
        open_alerts=3 if services else 0,
        labelled=61_204 if services else 0,
        predictions=182_340 if services else 0,
        cost=(("USD", 47_500.0), ("EUR", 860.0)) if services else (),
        changes=CHANGES if services else (),
        next=next_page,
    )


def step(
    number: int, days: float, action: str, model: str, reason: str, candidate: str | None = None, threshold: float = 0.72
) -> RevisionRow:
    return RevisionRow(
        number, NOW - timedelta(days=days), action, "maria" if number % 2 else "jonas", reason, model, threshold, candidate
    )


TIMELINE = (
    step(1, 92, "deploy", "churn-signal@11", "first version for Northwind", threshold=0.5),
    step(2, 71, "shadow", "churn-signal@11", "compare on live traffic", "churn-signal@13 as shadow", threshold=0.5),
    step(3, 62.6, "promote", "churn-signal@13", "precision .61 to .74 on the same labels"),
    step(4, 62.4, "rollback", "churn-signal@11", "p95 doubled under load", threshold=0.5),
    step(5, 49, "canary", "churn-signal@11", "batching fixed", "churn-signal@14 as canary, 10 %", threshold=0.5),
    step(6, 41.1, "promote", "churn-signal@14", "beats champion on 1,204 labels"),
    step(7, 9, "canary", "churn-signal@14", "fewer missed churners", "churn-signal@15 as canary, 10 %"),
)  # fmt: skip


def evaluation(week: int, value: float | None, n: int) -> Evaluation:
    start = NOW - timedelta(days=7 * (13 - week))
    return Evaluation(
        id=f"e{week}",
        at=start + timedelta(days=7),
        start=start,
        end=start + timedelta(days=7),
        model=ModelRef("churn-signal", 14),
        threshold=0.72,
        predictions=13_000,
        labelled=n,
        metrics=(estimate(value, n),) if value else (),
        cost=1200.0 if value else None,
    )


def look(day: int, reference: str, psi: float) -> Look:
    alarmed = psi > 0.16
    sentence = (
        "tenure_months <= 23 went from 25 % to 31 % and stayed there for 9 looks"
        if alarmed
        else "no share moved by more than the tolerance"
    )
    return Look(
        reference,
        NOW - timedelta(days=40 - day),
        4_100,
        round(psi * 30, 1),
        "alarm" if alarmed else "none",
        sentence,
        psi,
        0.021 if reference == "training" else 0.034,
        81_000.0,
    )


CHECKS = (
    Check("f1", Outcome.PASS, "F1 0.860 [0.849, 0.871] on 4,212 rows is above the floor of 0.800."),
    Check(
        "bias.selection_rate",
        Outcome.PASS,
        "The lowest selection rate by colour*sex is 0.83 of the highest; at least 0.80 is asked.",
    ),
    Check("golden", Outcome.FAIL, "2 of 118 golden cases that version 13 passed fail now: g-041, g-077."),
    Check(
        "privacy.membership", Outcome.INCONCLUSIVE, "The interval 0.48 to 0.57 still holds the limit 0.55: add about 900 rows."
    ),
)
LINEAGE = (
    LineageNode("tickets@41", "dataset", "tickets@41", "1.2 M rows · contract", 0),
    LineageNode("labels@18", "dataset", "labels@18", "4,212 labels", 0),
    LineageNode("run-1187", "run", "run 1187", "AUC .93 · 41 min", 1),
    LineageNode("run-1203", "run", "run 1203", "AUC .95 · 44 min", 1),
    LineageNode("churn-signal@14", "model", "churn-signal@14", "champion", 2),
    LineageNode("churn-signal@15", "model", "churn-signal@15", "challenger", 2),
    LineageNode("northwind/prod/churn-signal", "deployment", "northwind/prod/churn-signal", "90 % @14 · 10 % @15", 3, "failing"),
    LineageNode("initech/prod/churn-signal", "deployment", "initech/prod/churn-signal", "100 % @14", 3, "degraded"),
)
EDGES = (
    ("tickets@41", "run-1187"), ("labels@18", "run-1187"), ("tickets@41", "run-1203"), ("labels@18", "run-1203"),
    ("run-1187", "churn-signal@14"), ("run-1203", "churn-signal@15"), ("churn-signal@14", "northwind/prod/churn-signal"),
    ("churn-signal@15", "northwind/prod/churn-signal"), ("churn-signal@14", "initech/prod/churn-signal"),
)  # fmt: skip


def alert(sentence: str = "F1 0.712 [0.668, 0.756] on 412 is below the registered 0.860.") -> Alert:
    return Alert(
        id="a1",
        deployment=DeploymentKey.parse(WORST.deployment),
        kind=AlertKind.PERFORMANCE,
        check=Check("performance", Outcome.FAIL, sentence),
        opened_at=NOW - timedelta(hours=5),
    )


def answers(model: str, rows: int, rate: float, p50: float, labelled: int, value: float) -> Answers:
    metrics = (estimate(value, labelled),) if labelled else ()
    return Answers(model, 0.72, rows, estimate(rate, rows, "selection_rate"), p50, 4.5 * p50, metrics)


BESIDE = Beside(
    mode=Mode.CANARY,
    since=NOW - timedelta(days=9),
    at=NOW - timedelta(seconds=40),
    live=answers("churn-signal@14", 45_020, 0.101, 2.2, 380, 0.72),
    candidate=answers("churn-signal@15", 4_980, 0.12, 2.4, 0, 0),
    difference=Estimate("selection_rate_difference", 0.019, 0.0099, 0.0286, 4_980),
    otherwise=None,
    gained=0,
    lost=0,
    sentence="churn-signal@15 decides 12 % (11.1 to 12.9) of its 4,980 predictions for 'leaves', the live version 10.1 % (9.8 to 10.4)",
)


def full() -> DeploymentView:
    values = (0.85, 0.862, 0.855, 0.841, None, 0.852, 0.86, 0.848, 0.83, 0.81, 0.77, 0.74, 0.712)
    return DeploymentView(
        as_of=NOW,
        row=WORST,
        timeline=TIMELINE,
        evaluations=tuple(evaluation(i, v, 412 + 60 * (i % 5) if v else 0) for i, v in enumerate(values)),
        looks=tuple(
            look(d, r, p) for r, grow in (("training", 0.28), ("development", 0.19)) for d, p in enumerate(wave(0.02, grow))
        ),
        drifting=("the share of tenure_months <= 23 went from 25 % to 31 %", "the share of plan = basic went from 40 % to 52 %"),
        alerts=(alert(),),
        checks=CHECKS,
        verdict_at=NOW - timedelta(days=42),
        verdict_expires_at=NOW - timedelta(days=12),
        costs=CostMatrix(tp=-40.0, fp=5.0, tn=0.0, fn=120.0, currency="USD"),
        lineage=LINEAGE,
        edges=EDGES,
        changes=CHANGES[:2],
        slices=(Slice("region", "north", 210, estimate(0.74, 210)), Slice("region", "(missing)", 0, None)),
        beside=BESIDE,
    )


def empty(row: ServiceRow) -> DeploymentView:
    return DeploymentView(NOW, row, (), (), (), (), (), (), None, None, None, (), (), ())


def hostile() -> DeploymentView:
    row = service("evil", "text", "failing", HOSTILE, candidate=HOSTILE, model="n" * 128 + "@1", currency="<b>", cost=1e15)
    return replace(
        full(),
        row=row,
        timeline=(RevisionRow(1, NOW - timedelta(days=3), HOSTILE, HOSTILE, HOSTILE, "n" * 128 + "@1", 0.5, HOSTILE),),
        drifting=(HOSTILE,),
        alerts=(alert(HOSTILE),),
        checks=(Check(HOSTILE, Outcome.FAIL, HOSTILE),),
        lineage=tuple(replace(node, title=HOSTILE, detail=HOSTILE) for node in LINEAGE),
        changes=(replace(CHANGES[0], actor=HOSTILE, sentence=HOSTILE, kind=HOSTILE, subject=HOSTILE),),
        slices=(Slice(HOSTILE, HOSTILE, 3, None),),
        beside=replace(BESIDE, sentence=HOSTILE, candidate=replace(BESIDE.candidate, model=HOSTILE)),
    )


class Examples:
    """A loader of the examples; the tenants `empty`, `evil` and `denied` are special."""

    def overview(self, request: Request, after: str | None) -> Overview:
        if request.query_params.get("as") == "denied":
            raise Denied("This needs a valid key.", fix="Make a key: custody key add NAME --role viewer")
        if request.query_params.get("as") == "empty":
            return overview(())
        if request.query_params.get("as") == "hostile":
            return replace(overview((hostile().row, *SERVICES)), changes=hostile().changes)
        return overview() if after else overview(next_page="more")

    def deployment(self, request: Request, key: DeploymentKey) -> DeploymentView:
        if request.query_params.get("as") == "denied":
            raise Denied("This needs a valid key.")
        if str(key) == "evil/prod/text":
            return hostile()
        if str(key) == WORST.deployment:
            return full()
        known = {row.deployment: row for row in SERVICES}
        if str(key) not in known:
            raise NotFound.of("deployment", str(key), ls="custody deployment ls")
        return empty(known[str(key)])

    def dataset(self, request: Request, ref: DatasetRef) -> dict[str, Any]:  # noqa: ARG002
        raise NotFound.of("dataset", str(ref))

    def may_answer(self, request: Request) -> bool:
        return request.query_params.get("as") != "viewer"

    def answer(self, request: Request, key: DeploymentKey, alert: str, state: AlertState) -> None:
        assert request.method == "POST"
        if alert != "a1":
            raise NotFound.of("alert", alert, ls=f"custody alert ls {key}")
        self.answered = (str(key), alert, state)
