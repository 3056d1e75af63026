"""A model that was trained on a plain array goes the whole way: from the training script to answers that are watched."""

from pathlib import Path

import httpx
import numpy as np
from doors_world import CARD, KEY, POLICY, Project, rows, running, until, write_csv, write_yaml

from custody.bootstrap.control import clock
from custody.core.refs import DeploymentKey
from custody.lifecycle.seal import seal

TRAIN = """from sklearn.ensemble import HistGradientBoostingClassifier

import custody.sdk as custody

with custody.run("churn", purpose="train_ai_system") as run:
    rows = run.dataset("tickets@1").to_pandas()
    array = rows[{columns}].to_numpy()
    run.log_model("churn", HistGradientBoostingClassifier(max_iter=20).fit(array, rows["churned"]), sample=array)
"""


def made(folder: Path, columns: list[str]) -> Project:
    numbers = [{name: value for name, value in row.items() if name != "plan"} for row in rows(600)]
    data = write_csv(folder / "tickets.csv", numbers)
    (folder / "train.py").write_text(TRAIN.format(columns=columns))
    project = Project(folder / "project")
    project.tell("init", "init", project.folder)
    settings = project.folder / "custody.toml"
    settings.write_text(settings.read_text().replace("encrypt = true", "encrypt = false"))  # the server here has no data keys
    project.tell("tenant", "tenant", "add", "acme")
    card, policy = write_yaml(folder / "card.yaml", CARD), write_yaml(folder / "policy.yaml", POLICY)
    project.tell("data", "dataset", "add", "tickets", data, "--card", card, "--target", "churned", "--positive", "Yes")
    project.tell("policy", "gate", "set", "churn", policy)
    project.tell("run", "run", "exec", "--name", "churn", "--", "python", "train.py")
    return project


def test_from_an_array_to_answers_that_are_compared_with_what_it_learned_from(tmp_path: Path) -> None:
    project = made(tmp_path, ["age", "spend"])
    project.tell("model", "model", "register", "churn", "--run", "last")
    project.tell("check", "gate", "check", "churn@1")
    project.tell("deploy", "deployment", "deploy", "churn@1", "--tenant", "acme", "--threshold", "0.5")
    with project.client() as client:
        secret = client.key_add("caller", role="viewer", tenant="acme").data["secret"]
    values = np.random.default_rng(1).uniform((18, 0), (80, 500), (100, 2))
    request = {"inputs": [{"name": "input", "datatype": "FP32", "shape": [100, 2], "data": values.tolist()}]}
    with running(project, "inference") as server:
        url = f"{server.inference_url}/tenants/acme/v2/models/churn"
        headers = {"authorization": f"Bearer {secret}"}
        answer = httpx.post(f"{url}/infer", json=request, headers=headers)
        assert answer.status_code == 200, answer.text
        scores = np.array(answer.json()["outputs"][0]["data"])
        cell = {"input": [[20.0, 450.0], [75.0, 10.0]]}
        frame = httpx.post(url.replace("/v2/models/", "/deployments/") + "/invocations", json={"inputs": cell}, headers=headers)
        assert frame.status_code == 200, frame.text
    assert (
        scores[values[:, 1] / 500 - values[:, 0] / 80 > 0.4].min()
        > 0.5
        > scores[values[:, 1] / 500 - values[:, 0] / 80 < -0.4].max()
    )
    with project.ports() as ports:
        assert until("its answers are sealed", lambda: seal(ports, clock())) == 102
        with project.client() as client:
            sealed = next(client.ledger_ls(kind="captures.sealed", subject=KEY))["body"]
        assert sealed["drift_not_computed"] == ""
        states = ports.stores.of(DeploymentKey.parse(KEY).tenant).monitors
        assert states.state(DeploymentKey.parse(KEY), "reference:churn@1@0.5")


def test_an_array_whose_columns_cannot_be_told_is_refused_with_the_way_out(tmp_path: Path) -> None:
    project = made(tmp_path, ["age", "spend", "age"])
    done = project.run("model", "register", "churn", "--run", "last")
    assert done.returncode == 2
    assert "takes rows of 3 numbers, and tickets@1 has 2: age, spend" in " ".join(done.stderr.split())
    assert "Train it on a DataFrame" in " ".join(done.stderr.split())
