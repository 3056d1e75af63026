"""Label: what turned out to be true is recorded under the prediction's id or the caller's own key, whenever it comes."""

from collections.abc import Sequence

from custody.core.errors import InvalidInput, NotFound
from custody.core.prediction import PredictionId
from custody.core.refs import DeploymentKey
from custody.core.tenancy import Role
from custody.feedback.label import SOURCES, Label, check_values
from custody.lifecycle.stores import Caller, Ports


def record(
    ports: Ports,
    caller: Caller,
    key: DeploymentKey,
    rows: Sequence[tuple[str, str]],
    *,
    source: str = "outcome",
    dry_run: bool = False,
) -> tuple[int, int | None]:
    """Store labels as (prediction id or caller's key, class) and return how many were new, with the ledger number.

    Raises InvalidInput, and stores nothing, if any value is none of the model's classes or any name is empty.
    """
    caller.within(key.tenant).may(Role.CONTRIBUTOR)
    if source not in SOURCES:
        raise InvalidInput(f"'{source}' is not a label source.", why=f"The sources are: {', '.join(SOURCES)}.")
    head = ports.stores.of(key.tenant).deployments.head(key)
    if head is None:
        raise NotFound.of("deployment", str(key), ls="custody deployment ls")
    if empty := [str(line) for line, (name, _) in enumerate(rows, 1) if not name]:
        raise InvalidInput(
            f"{len(empty)} labels name no prediction.",
            why=f"The first such lines: {', '.join(empty[:20])}.",
            fix="The first column holds the prediction id or your own key.",
        )
    rows = [(_spelled(name), value) for name, value in rows]
    if foreign := [str(line) for line, (name, _) in enumerate(rows, 1) if _elsewhere(name, key)]:
        raise InvalidInput(
            f"{len(foreign)} labels name predictions of another deployment than {key}.",
            why=f"The first such lines: {', '.join(foreign[:20])}.",
            fix="Send them to the deployment that stands at the front of the prediction id.",
        )
    labels = [Label(key, name, value, source, caller.now, caller.actor.name) for name, value in rows]
    check_values(labels, head.service.live.signature.classes)
    if dry_run or not labels:
        return len(labels), None
    with ports.stores.change(key.tenant, caller.actor, caller.now) as change:
        added = change.labels.add(labels)
        if not added:
            return 0, None
        entry = change.record("labels.received", str(key), {"received": len(labels), "new": added, "source": source})
    return added, entry.seq


def _spelled(name: str) -> str:
    """Write the id of a request's first row without `.0`: who numbers the rows of an answer puts it there."""
    first = name.removesuffix(".0")
    try:
        return first if first != name and PredictionId.parse(first).row == 0 else name
    except InvalidInput:
        return name


def _elsewhere(name: str, key: DeploymentKey) -> bool:
    """Tell whether a name is a prediction id of another deployment; a caller's own key may be anything."""
    try:
        return PredictionId.parse(name).deployment != key
    except InvalidInput:
        return False
