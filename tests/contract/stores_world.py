"""The nouns that the contract tests of the stores put in: one small, complete example of each."""

from datetime import UTC, datetime, timedelta

from custody.core.digest import Digest, digest_of
from custody.core.evidence import Check, Estimate, GroupCounts, Measured, Outcome, Parity, Verdict
from custody.core.manifest import Candidate, Mode, Service, Target
from custody.core.prediction import CaptureBatch
from custody.core.refs import DatasetRef, DeploymentKey, ModelRef
from custody.core.schema import Column, ColumnType, Schema, Signature, Tensor
from custody.core.tenancy import Actor, Role, TenantId
from custody.data.card import Card
from custody.data.dataset import DatasetVersion, Part
from custody.deployment.revision import Revision
from custody.feedback.label import Label
from custody.registry.model import ModelVersion
from custody.registry.run import DatasetUse, LoggedModel, Recipe, Run, RunStatus

NOW = datetime(2026, 3, 1, 12, 30, 15, 123456, tzinfo=UTC)
ACME, BETA = TenantId("acme"), TenantId("beta")
ADA = Actor("ada", Role.ADMIN)
CHURN = DeploymentKey(ACME, "prod", "churn")
SIGNATURE = Signature((Tensor("age", "FP32", (-1, 1)),), (Tensor("scores", "FP32", (-1, 2)),), "scores", ("No", "Yes"))


def later(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def digest(text: str) -> Digest:
    return digest_of(text.encode())


def dataset(name: str = "tickets", version: int = 1, *, at: datetime = NOW) -> DatasetVersion:
    card = Card(
        title="Tickets",
        description="Support tickets",
        owner="ada",
        sources=("helpdesk",),
        collection_method="transaction",
        collection_period="2025",
        geography=("EU",),
        subjects=(),
        legal_basis="contract",
        purposes=("train_ai_system",),
        license="CC-BY-4.0",
        limitations="none known",
        bias_treatment="none",
    )
    schema = Schema((Column("age", ColumnType.INTEGER), Column("left", ColumnType.STRING)), target="left", positive="Yes")
    parts = (Part(digest("part 1"), 60, 4096), Part(digest("part 2"), 40, 2048))
    own = digest(f"{name}@{version}")
    return DatasetVersion(DatasetRef(name, version), own, 100, schema, card, parts, digest("profile"), at, 0.4, ("raw@1",))


def run(id: str = "run-1", name: str = "train churn", *, status: RunStatus = RunStatus.RUNNING, at: datetime = NOW) -> Run:  # noqa: A002 - the field's word
    return Run(
        id=id,
        name=name,
        status=status,
        started_at=at,
        code_version="3f2a",
        environment={"python": "3.11"},
        params={"depth": "3"},
        metrics={"auc": 0.75, "loss": float("inf")},
        datasets=(DatasetUse(DatasetRef("tickets", 1), digest("tickets@1"), "train"),),
        recipe=Recipe(("python", "train.py"), {"train.py": digest("train.py")}),
        models=(LoggedModel("churn", digest("onnx"), digest("fixture"), SIGNATURE, "scikit-learn", ("one note",)),),
        cause="by hand",
    )


def model(name: str = "churn", version: int = 1, *, at: datetime = NOW, run_id: str = "run-1") -> ModelVersion:
    return ModelVersion(
        ref=ModelRef(name, version),
        artifact=digest(f"{name}@{version}"),
        size_bytes=1234,
        signature=SIGNATURE,
        framework="scikit-learn",
        fixture=digest("fixture"),
        parity=(Parity(100, 1e-7, 1e-8, 0.5, 0, 0.01),),
        registered=(Measured(0.5, (Estimate("auc", 0.75, 0.7, 0.8, 40),), (GroupCounts("gender", "f", 10, 2, 3, 5),)),),
        run_id=run_id,
        datasets=(DatasetUse(DatasetRef("tickets", 1), digest("tickets@1"), "train"),),
        created_at=at,
        notes=("one note",),
    )


def verdict(id: str = "verdict-1", version: int = 1, *, name: str = "churn", at: datetime = NOW, passed: bool = True) -> Verdict:  # noqa: A002 - the field's word
    checks = (Check("metric", Outcome.PASS, "auc is 0.75", {"auc": 0.75, "by": [1, {"group": None, "ok": True}]}),)
    return Verdict(
        id=id,
        model=ModelRef(name, version),
        artifact=digest(f"{name}@{version}"),
        policy=digest("policy"),
        golden=None,
        evidence=digest("evidence"),
        thresholds=(0.5, 0.7),
        passed=passed,
        checks=checks,
        at=at,
        expires_at=at + timedelta(days=30),
    )


def revision(
    number: int = 1, *, key: DeploymentKey = CHURN, at: datetime = NOW, actor: str = "ada", action: str = "deploy"
) -> Revision:
    live = Target(ModelRef("churn", number), digest(f"churn@{number}"), SIGNATURE, 0.5, digest("fixture"))
    beside = Target(ModelRef("churn", number + 1), digest(f"churn@{number + 1}"), SIGNATURE, 0.6, None)
    return Revision(Service(key, number, live, Candidate(beside, Mode.CANARY, 0.1)), action, actor, at, "a reason")


def batch(id: str = "batch-1", *, key: DeploymentKey = CHURN, at: datetime = NOW) -> CaptureBatch:  # noqa: A002 - the field's word
    """A batch whose predictions were made within 10 s from `at`, about events of the hour before it."""
    end, hour = at + timedelta(seconds=10), timedelta(hours=1)
    return CaptureBatch(id, key, digest(id), 7, at, end, at - hour, at, end, 5)


def label(
    prediction: str = "p-1", value: str = "Yes", source: str = "outcome", *, key: DeploymentKey = CHURN, at: datetime = NOW
) -> Label:
    return Label(key, prediction, value, source, at, "ada" if source == "annotator" else "")
