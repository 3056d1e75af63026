"""What a type checker must see of the SDK; never run, only checked."""

from collections.abc import Iterator
from typing import Any, assert_type

import custody.sdk
from custody.core.exported import Exported
from custody.sdk import ActiveRun, Client, Result, connect


def a_client_answers_with_results(client: Client) -> None:
    assert_type(connect("http://127.0.0.1:8080", key="ck_x"), Client)
    assert_type(client.dataset_add("tickets", "tickets.csv", card={"title": "Tickets"}), Result)
    assert_type(client.gate_check("churn@1"), Result)
    assert_type(client.gate_check("churn@1").ledger, int | None)
    assert_type(client.gate_check("churn@1").next, str | None)
    assert_type(client.model_ls("churn"), Iterator[Any])
    assert_type(client.model_artifact("churn@1"), bytes)
    assert_type(client.deployment_deploy("churn@1", tenant="acme", canary=0.1), Result)
    assert_type(client.deployment_ls(), list[Any])


def a_client_closes_itself() -> None:
    with connect() as client:
        assert_type(client, Client)


def a_run_hands_over_its_model(model: object) -> None:
    with custody.sdk.run("churn") as run:
        assert_type(run, ActiveRun)
        assert_type(run.id, str)
        assert_type(run.log_model("churn", model, sample=[[1.0]]), Exported)
        run.param(depth=3)
        run.metric(auc=0.75)


def mistakes_are_seen(client: Client) -> None:
    client.dataset_add("tickets", "tickets.csv")  # type: ignore[call-arg] # a dataset needs its card
    client.deployment_deploy("churn@1")  # type: ignore[call-arg] # a deployment needs a tenant
    client.deployment_deploy("churn@1", tenant="acme", canary="10%")  # type: ignore[arg-type] # a share is a number
    client.label_add("acme/prod/churn", [("p-1", 1)])  # type: ignore[list-item] # a label is a class, as text
    client.gate_chek("churn@1")  # type: ignore[attr-defined] # a typo
