"""Export: a model card that a person can read and a program can parse."""

from typing import Any

import msgspec

from custody.core.refs import ModelRef
from custody.core.tenancy import Role
from custody.lifecycle.stores import Caller, Ports


def card(ports: Ports, caller: Caller, ref: ModelRef) -> dict[str, Any]:
    """Return a model card: what the model is, its data and their terms, what it showed, which checks it passed.

    Source of the sections: Mitchell et al. 2019, Model Cards for Model Reporting.
    """
    caller.may(Role.VIEWER)
    shelf = ports.stores.of(caller.tenant)
    model, verdict = shelf.models.get(ref), shelf.gates.verdict(ref)
    run = shelf.runs.get(model.run_id)
    datasets = [shelf.datasets.get(use.ref) for use in model.datasets]
    made: dict[str, Any] = msgspec.to_builtins(
        {
            "version": 1,
            "model": str(ref),
            "artifact": model.artifact,
            "framework": model.framework,
            "signature": model.signature,
            "parity": model.parity,
            "registered": model.registered,
            "run": {"id": run.id, "code_version": run.code_version, "params": run.params, "environment": run.environment},
            "datasets": [{"ref": str(one.ref), "digest": one.digest, "rows": one.rows, "card": one.card} for one in datasets],
            "verdict": verdict,
        }
    )
    return made
