"""The whole life of a model on the embedded default: a folder and SQLite, real stores, real training, real serving."""

import asyncio
import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import msgspec
import numpy as np
import pyarrow as pa
import pytest

from custody.adapters.frameworks import sklearn
from custody.adapters.frameworks.onnx import OnnxModel
from custody.adapters.sql.stores import SqlStores
from custody.bootstrap.control import init, wire
from custody.core.digest import Json
from custody.core.errors import Denied
from custody.core.evidence import Outcome, Verdict
from custody.core.manifest import Mode
from custody.core.refs import DatasetRef, DeploymentKey, ModelRef
from custody.core.tenancy import HOUSE, Actor, Role, TenantId
from custody.data.card import Card
from custody.data.dataset import DatasetVersion
from custody.data.split import Split
from custody.deployment.revision import Revision
from custody.inference.app import InferenceApp
from custody.lifecycle.admit import add_key, add_tenant
from custody.lifecycle.alerts import explain_alert
from custody.lifecycle.convert import convert
from custody.lifecycle.ingest import Roles, ingest
from custody.lifecycle.monitor import set_monitor
from custody.lifecycle.promote import promote, set_golden, set_policy
from custody.lifecycle.record import record
from custody.lifecycle.release import Plan, advance, release
from custody.lifecycle.retrain import STATE, read_request, retrain_next
from custody.lifecycle.seal import seal
from custody.lifecycle.stores import Caller, Ports
from custody.lifecycle.trace import Trace, trace
from custody.lifecycle.train import begin, keep, log, read, train
from custody.lifecycle.verify import verify_all, verify_ledger
from custody.lifecycle.watch import Seen, watch
from custody.monitoring.alert import AlertKind
from custody.registry.run import LoggedModel, Recipe, Run, RunStatus

ADA = Actor("ada", Role.ADMIN)
ACME = TenantId("acme")
LOANS = DeploymentKey(ACME, "prod", "loans")
FEATURES = ("skill", "hours", "region")
CARD = Card(
    title="Invented loans",
    description="Drawn from a random generator",
    owner="the team",
    sources=("a random generator",),
    collection_method="synthetic",
    collection_period="2026",
    geography=("nowhere",),
    subjects=(),
    legal_basis="public_data",
    purposes=("train_ai_system",),
    license="CC0-1.0",
    limitations="None of it is true.",
    bias_treatment="None: the south was refused more often.",
)
POLICY: dict[str, Json] = {
    "metrics": [{"metric": "auc", "minimum": 0.55}, {"metric": "accuracy", "max_drop": 0.05}],
    "bias": [{"column": "region", "measure": "selection_rate", "tolerance": 0.2}],
}
MONITOR: dict[str, Json] = {
    "metric": "accuracy",
    "window": "400 labels",
    "on_degradation": "retrain",
    "canary_share": 0.5,
    "canary_min_labels": 100,
}
GOLDEN: list[Json] = [
    {"id": "excellent", "inputs": {"skill": 9.0, "hours": 9.0, "region": "north"}, "expect": "Yes", "severity": "critical"},
    {"id": "hopeless", "inputs": {"skill": -9.0, "hours": -9.0, "region": "south"}, "expect": "No"},
]


# the world: what is true, and when


def applications(n: int, seed: int, *, decisive: str = "skill", unfair: bool = True) -> dict[str, list[Any]]:
    """Invent n applications; who repays depends on one number, and on the region where the record is unfair."""
    rng = np.random.default_rng(seed)
    rows = {"skill": rng.normal(size=n).round(3), "hours": rng.normal(size=n).round(3)}
    region = rng.choice(["north", "south"], n)
    truth = 2 * rows[decisive] + rng.normal(0, 0.7, n) - (2.0 * (region == "south") if unfair else 0) > 0
    return {
        **{k: v.tolist() for k, v in rows.items()},
        "region": region.tolist(),
        "repaid": np.where(truth, "Yes", "No").tolist(),
    }


@dataclass
class Time:
    """A clock that moves a minute each time somebody looks."""

    now: datetime = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        self.now += timedelta(minutes=1)
        return self.now


@dataclass
class Team:
    """The people who use custody, and their verbs."""

    folder: Path
    ports: Ports
    clock: Time = field(default_factory=Time)
    seen: Seen = field(default_factory=Seen)
    secret: str = ""

    @property
    def me(self) -> Caller:
        return Caller(HOUSE, ADA, self.clock())

    # data and training

    def adds_data(self, name: str, card: Card) -> DatasetVersion:
        roles = Roles(target="repaid", positive="Yes", groups=("region",))
        return ingest(self.ports, self.me, name, pa.table(applications(3000, seed=1)), card, roles=roles)[0]

    def trains(self, data: DatasetRef, *, fairly: bool, cause: str = "") -> Run:
        script = keep(self.ports, self.me, b"fair" if fairly else b"unfair")
        recipe = Recipe(("python", "train.py"), {"train.py": script})
        run, _ = begin(self.ports, self.me, "loans", recipe=recipe, cause=cause)
        rows = read(self.ports, self.me, run.id, data, Split.TRAIN).to_pandas()
        exported = sklearn.export(fitted(rows, fairly=fairly), rows[list(FEATURES)])
        artifact = keep(self.ports, self.me, exported.onnx)
        fixture = keep(self.ports, self.me, msgspec.json.encode(exported.fixture))
        logged = LoggedModel("loans", artifact, fixture, exported.signature, exported.framework, exported.notes)
        log(self.ports, self.me, run.id, params={"fair": str(fairly)}, metrics={"rows": len(rows)}, models=[logged])
        return train(self.ports, self.me, run.id, RunStatus.FINISHED)[0]

    def registers(self, run: Run) -> ModelRef:
        return convert(self.ports, self.me, run.id)[0].ref

    # the gate and what follows

    def fixes_what_must_be_shown(self) -> None:
        set_policy(self.ports, self.me, "loans", POLICY)
        set_golden(self.ports, self.me, "loans", GOLDEN)

    def judges(self, model: ModelRef) -> Verdict:
        return promote(self.ports, self.me, model)[0]

    def deploys(self, model: ModelRef) -> Revision:
        return release(self.ports, self.me, Plan(LOANS, model))[0]

    def rolls_back(self) -> Revision:
        return advance(self.ports, self.me, LOANS, "rollback", reason="a person asked")[0]

    @property
    def live(self) -> Revision:
        head = self.ports.stores.of(ACME).deployments.head(LOANS)
        assert head is not None
        return head

    # production

    def serves(self, rows: Mapping[str, list[Any]], names: str) -> list[str]:
        """Answer all rows in requests of 20, as the real app does, and return the prediction ids."""
        return asyncio.run(self._serves(rows, names))

    async def _serves(self, rows: Mapping[str, list[Any]], names: str) -> list[str]:
        signer = self.ports.signer
        app = InferenceApp(self.ports.stores.objects, OnnxModel, signer.public_key, self.folder / "inference")
        heard: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        said: asyncio.Queue[Any] = asyncio.Queue()
        life = asyncio.create_task(app({"type": "lifespan"}, heard.get, said.put))
        await heard.put({"type": "lifespan.startup"})
        await said.get()
        ids: list[str] = []
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://acme") as client:
            client.headers["authorization"] = f"Bearer {self.secret}"
            for start in range(0, len(rows["skill"]), 20):
                answer = await client.post("/tenants/acme/v2/models/loans/infer", json=request(rows, start, names))
                assert answer.status_code == 200, answer.text
                first = answer.json()["parameters"]["prediction_id"]
                ids += [first, *(f"{first}.{i}" for i in range(1, 20))]
        await heard.put({"type": "lifespan.shutdown"})
        await life
        return ids

    def seals(self) -> int:
        return seal(self.ports, self.clock())

    def learns_the_truth(self, names: Sequence[str], rows: Mapping[str, list[Any]]) -> int:
        return record(self.ports, self.me, LOANS, list(zip(names, rows["repaid"], strict=True)))[0]

    def watches(self) -> int:
        return watch(self.ports, self.clock(), self.seen)

    def retrains(self) -> int:
        return retrain_next(self.ports, SameRecipe(self), self.clock)

    @property
    def wish(self) -> str:
        request = read_request(self.ports.stores.of(ACME).monitors.state(LOANS, STATE))
        return request.outcome or "open" if request else "none"

    def asks_why(self, prediction: str) -> Trace:
        return trace(self.ports, self.me, prediction)

    @property
    def kinds(self) -> list[str]:
        return [entry.kind for entry in self.ports.stores.ledger.entries()]


@dataclass
class SameRecipe:
    """Repeats a recorded training here and now."""

    team: Team

    def run(self, tenant: TenantId, name: str, recipe: Recipe, dataset: DatasetRef, cause: str) -> Run:
        assert (tenant, name) == (HOUSE, "loans")
        script = self.team.ports.stores.objects.get(recipe.files["train.py"])
        return self.team.trains(dataset, fairly=script == b"fair", cause=cause)


def fitted(rows: Any, *, fairly: bool) -> Any:
    """Fit a logistic regression; fairly: with the regions shuffled, so that there is nothing to learn from them."""
    from sklearn.compose import make_column_transformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    if fairly:
        rows = rows.assign(region=np.random.default_rng(0).permutation(rows["region"]))
    columns = make_column_transformer((OneHotEncoder(drop="if_binary"), ["region"]), ("passthrough", ["skill", "hours"]))
    model = make_pipeline(columns, LogisticRegression())
    return model.fit(rows[list(FEATURES)], rows["repaid"])


def request(rows: Mapping[str, list[Any]], start: int, names: str) -> dict[str, Any]:
    kinds = {"skill": "FP32", "hours": "FP32", "region": "BYTES"}
    inputs = [{"name": n, "datatype": kinds[n], "shape": [20, 1], "data": rows[n][start : start + 20]} for n in FEATURES]
    return {"inputs": inputs, "parameters": {"key": [f"{names}-{i}" for i in range(start, start + 20)]}}


def by_key(names: str, n: int) -> list[str]:
    return [f"{names}-{i}" for i in range(n)]


def outcomes(verdict: Verdict) -> dict[str, Outcome]:
    return {check.name: check.outcome for check in verdict.checks}


@contextmanager
def opened(folder: Path) -> Iterator[Team]:
    settings, new = init(folder)
    assert new
    ports = wire(settings)
    assert isinstance(ports.stores, SqlStores)
    try:
        yield Team(folder, ports)
    finally:
        ports.stores.close()


@pytest.fixture
def team(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Team]:
    for name in [name for name in os.environ if name.startswith("CUSTODY_")]:
        monkeypatch.delenv(name)
    with opened(tmp_path / "project") as team:
        yield team


def test_the_life_of_a_model(team: Team) -> None:
    # A client joins, and gets a key.
    add_tenant(team.ports, team.me, ACME)
    _, team.secret, _ = add_key(team.ports, team.me, "acme's app", Role.CONTRIBUTOR, ACME)

    # Data that nobody can vouch for is kept, but trains nothing.
    hearsay = team.adds_data("hearsay", replace(CARD, sources=("unknown",)))
    with pytest.raises(Denied, match="source is unknown"):
        team.trains(hearsay.ref, fairly=False)
    loans = team.adds_data("loans", CARD)

    # What a model must show is fixed before it is trained.
    team.fixes_what_must_be_shown()

    # The first model learned the unfairness of its record: it is refused, and cannot serve.
    unfair = team.registers(team.trains(loans.ref, fairly=False))
    refused = team.judges(unfair)
    assert not refused.passed
    assert [name for name, outcome in outcomes(refused).items() if outcome is Outcome.FAIL] == ["bias:selection_rate:region@0.5"]
    with pytest.raises(Denied, match="gate did not pass"):
        team.deploys(unfair)

    # The second one is trained fairly; unjudged it cannot serve either, judged it does.
    fair = team.registers(team.trains(loans.ref, fairly=True))
    with pytest.raises(Denied, match="never checked"):
        team.deploys(fair)
    judged = team.judges(fair)
    assert judged.passed, [check.sentence for check in judged.checks if check.outcome is not Outcome.PASS]
    assert team.deploys(fair).number == 1
    set_monitor(team.ports, team.me, LOANS, MONITOR)

    # It answers, and what it answered is sealed, once.
    spring = applications(400, seed=2)
    spring_ids = team.serves(spring, "spring")
    assert team.seals() == 400
    assert team.seals() == 0

    # The truth comes late, in two pieces, under two kinds of names, and one piece comes twice.
    half = {name: values[:200] for name, values in spring.items()}
    rest = {name: values[200:] for name, values in spring.items()}
    assert team.learns_the_truth(spring_ids[:200], half) == 200
    assert team.watches() == 0, "half of the truth closes no window"
    assert team.learns_the_truth(spring_ids[:200], half) == 0
    assert team.learns_the_truth(by_key("spring", 400)[200:], rest) == 200

    # The first window is judged, and nothing is wrong.
    assert team.watches() == 1
    assert team.watches() == 0, "a window is judged once"
    assert "alert.raised" not in team.kinds

    # The world changes: hours decide now. The loss is proven, an alert is raised, a retraining is asked for.
    summer = applications(1200, seed=3, decisive="hours", unfair=False)
    summer_ids = team.serves(summer, "summer")
    team.seals()
    team.learns_the_truth(summer_ids, summer)
    assert team.watches() == 1
    alerts = team.ports.stores.of(ACME).monitors.open_alerts(LOANS)
    assert AlertKind.PERFORMANCE in {alert.kind for alert in alerts}
    assert team.wish == "open"

    # Every alarm can be computed again from what it rested on.
    assert team.kinds.count("alert.raised") == len(alerts)
    assert all(explain_alert(team.ports, team.me, LOANS, alert.id).agrees for alert in alerts)

    # The same recipe runs again on the old rows and the labelled traffic; the result passes the gate and is a canary.
    assert team.retrains() == 1
    assert team.wish == "loans@3 is a canary in acme/prod/loans"
    candidate = team.live.service.candidate
    assert candidate is not None
    assert (team.live.service.live.model, candidate.mode, candidate.share) == (fair, Mode.CANARY, 0.5)
    assert team.retrains() == 0

    # Both answer the autumn's requests; the canary is better, and takes over.
    autumn = applications(800, seed=4, decisive="hours", unfair=False)
    autumn_ids = team.serves(autumn, "autumn")
    team.seals()
    team.learns_the_truth(autumn_ids, autumn)
    team.watches()
    retrained = ModelRef("loans", 3)
    assert (team.live.action, team.live.service.live.model, team.live.service.candidate) == ("promote", retrained, None)
    assert "alert.resolved" in team.kinds
    assert {one.split(":")[4] for one in team.serves(autumn, "winter")} == {"loans@3"}

    # A person wants the old one back, and has it within one step.
    assert team.rolls_back().service.live.model == fair
    assert {one.split(":")[4] for one in team.serves(spring, "again")} == {"loans@2"}
    assert team.seals() == 1200

    # Any decision can be followed back to the card of the data behind it.
    why = team.asks_why(autumn_ids[-1])
    assert (why.complete, why.gaps) == (True, ())
    assert {"decision", "deployment", "verdict", "model", "run", "dataset", "card"} <= {step.kind for step in why.steps}
    assert all(step.ledger for step in why.steps if step.kind != "decision")

    # The history is whole, until somebody edits a byte of it.
    assert verify_all(team.ports, team.me).problems == ()
    edited = team.kinds.index("gate.refused") + 1
    rewrite(team.folder / "custody.db", edited)
    found = verify_ledger(team.ports, team.me)
    assert (found.ok, found.broken) == (False, edited)


def rewrite(database: Path, seq: int) -> None:
    """Turn one letter of one entry's body, as somebody with the file could."""
    with sqlite3.connect(database) as connection:
        for (name,) in connection.execute(
            "select name from sqlite_master where type = 'trigger' and tbl_name = 'ledger'"
        ).fetchall():
            connection.execute(f"drop trigger {name}")
        (body,) = connection.execute("select body from ledger where seq = ?", (seq,)).fetchone()
        at = body.index("fail")
        connection.execute("update ledger set body = ? where seq = ?", (f"{body[:at]}p{body[at + 1 :]}", seq))
    connection.close()
