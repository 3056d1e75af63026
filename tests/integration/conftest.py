"""One prepared project, one running server: made once, because training and starting take seconds."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from doors_world import (
    CARD,
    GOLDEN,
    KEY,
    MONITOR,
    POLICY,
    STRICT,
    TRAIN,
    Project,
    Up,
    body,
    rows,
    until,
    up,
    write_csv,
    write_yaml,
)

SENT = 240


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project made with commands alone: data, gates, two models that passed and one that was refused, a deployment.

    Nobody writes into it: tests that change something take a copy, `project`.
    """
    home = tmp_path_factory.mktemp("prepared")
    data = write_csv(home / "tickets.csv", rows(900))
    card, policy, strict = (
        write_yaml(home / f"{n}.yaml", v) for n, v in (("card", CARD), ("policy", POLICY), ("strict", STRICT))
    )
    (home / "train.py").write_text(TRAIN)
    made = Project(home / "project")
    made.tell("init", "init", made.folder)
    made.tell("tenant", "tenant", "add", "acme")
    roles = ("--target", "churned", "--positive", "Yes", "--group", "plan")
    made.tell("dataset", "dataset", "add", "tickets", data, "--card", card, *roles)
    made.tell("policy", "gate", "set", "churn", policy)
    made.tell("strict policy", "gate", "set", "strict", strict)
    for number, strength in enumerate(("1.0", "0.05"), 1):
        made.tell(f"run {number}", "run", "exec", "--name", "churn", "--", "python", "train.py", strength)
        made.tell(f"model {number}", "model", "register", "churn", "--run", "last")
        made.tell(f"check {number}", "gate", "check", f"churn@{number}")
    made.tell("strict model", "model", "register", "strict", "--run", "last")
    made.tell("refused", "gate", "check", "strict@1", expect=1)
    made.tell("deploy", "deployment", "deploy", "churn@1", "--tenant", "acme", "--threshold", "0.5")
    return made


@pytest.fixture
def project(prepared: Project, tmp_path: Path) -> Project:
    """A copy of the prepared project that the test may change."""
    copied = tmp_path / "project"
    shutil.copytree(prepared.folder, copied)
    return Project(copied, prepared.told)


@pytest.fixture(scope="session")
def served(prepared: Project, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """`custody up` on a copy, with answered and labelled traffic; tests may add to it, never take away."""
    folder = tmp_path_factory.mktemp("served") / "project"
    shutil.copytree(prepared.folder, folder)
    with up(Project(folder)) as server:
        with server.client() as client:
            client.tenant_add("globex")
            client.monitor_set(KEY, MONITOR)
            client.value_set(KEY, {"tp": 0, "fp": 3, "tn": 0, "fn": 10, "currency": "CAD"})
            client.golden_add("churn", GOLDEN)
            lines = rows(SENT, seed=8)
            _send(server, lines)
            client.label_add(KEY, [(f"row-{number}", row["churned"]) for number, row in enumerate(lines)])
            until("the window is evaluated", lambda: client.monitor_show(KEY).data["evaluations"])
        yield server


def _send(server: Up, lines: list[dict[str, object]]) -> None:
    path = f"{server.inference_url}/tenants/acme/v2/models/churn"
    with httpx.Client(headers={"Authorization": f"Bearer {server.key}"}, timeout=20) as client:
        until("the deployment is ready", lambda: client.get(f"{path}/ready").status_code == 200)
        for number, row in enumerate(lines):
            assert client.post(f"{path}/infer", json=body(row, key=f"row-{number}")).status_code == 200
    with server.client() as client:
        until("the captures are sealed", lambda: client.deployment_show(KEY).data["row"]["predictions"] == len(lines))
