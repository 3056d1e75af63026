"""A treatment of bias is a run parameter, and what it did is measured by custody and stands on the cards."""

from dataclasses import replace

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from lifecycle_world import CARD, World, exported

from custody.core.errors import InvalidInput, NotFound
from custody.core.refs import ModelRef
from custody.core.tenancy import HOUSE
from custody.data.reweigh import WEIGHT
from custody.data.split import Split
from custody.lifecycle.cards import plain_card
from custody.lifecycle.convert import convert
from custody.lifecycle.export import card
from custody.lifecycle.ingest import Roles, ingest
from custody.lifecycle.mitigate import measure_mitigation
from custody.lifecycle.train import begin, keep, log, read, train
from custody.registry.run import LoggedModel, RunStatus

FIRST, SECOND = ModelRef("churn", 1), ModelRef("churn", 2)


def unequal(n: int = 1500) -> pa.Table:
    """Return rows in which region b has lower ages, and age decides."""
    rng = np.random.default_rng(4)
    region = rng.choice(["a", "b"], n)
    age = (rng.normal(size=n) - 0.8 * (region == "b")).round(3)
    left = np.where(age + rng.normal(0, 0.5, n) > -0.4, "Yes", "No")
    return pa.table({"age": age.tolist(), "region": region.tolist(), "left": left.tolist()})


def version(world: World, reweigh: str) -> None:
    run, _ = begin(world.ports, world.caller(), "churn")
    data = world.ports.stores.of(HOUSE).datasets.latest("tickets")
    assert data is not None
    rows = read(world.ports, world.caller(), run.id, data.ref, Split.TRAIN, reweigh=reweigh)
    assert (WEIGHT in rows.column_names) is bool(reweigh)
    if reweigh:
        frame = rows.to_pandas()
        shares = [frame[frame.region == one] for one in ("a", "b")]
        rates = [one[WEIGHT][one.left == "Yes"].sum() / one[WEIGHT].sum() for one in shares]
        assert rates[0] == pytest.approx(rates[1])
        rows = rows.take(np.random.default_rng(0).choice(len(frame), len(frame), p=frame[WEIGHT] / frame[WEIGHT].sum()))
    model = exported(rows.select(["age", "left"]))
    files = [keep(world.ports, world.caller(), body) for body in (model.onnx, msgspec.json.encode(model.fixture))]
    log(world.ports, world.caller(), run.id, models=[LoggedModel("churn", files[0], files[1], model.signature, model.framework)])
    train(world.ports, world.caller(), run.id, RunStatus.FINISHED)
    convert(world.ports, world.caller(), run.id)


def test_a_treatment_is_measured_and_stands_on_both_cards(world: World) -> None:
    roles = Roles(target="left", positive="Yes", groups=("region",))
    data, _ = ingest(world.ports, world.caller(), "tickets", unequal(), replace(CARD, subjects=()), roles=roles)
    for wrong in ("colour", "region*colour"):
        run, _ = begin(world.ports, world.caller(), "churn")
        with pytest.raises(InvalidInput, match="cannot be reweighed"):
            read(world.ports, world.caller(), run.id, data.ref, Split.TRAIN, reweigh=wrong)
    version(world, "")
    version(world, "region")
    entry = [one for one in world.ports.stores.ledger.entries() if one.kind == "dataset.read"][-1]
    assert entry.body["reweigh"] == "region"
    before = world.kinds()
    found, none = measure_mitigation(world.ports, world.caller(), SECOND, "region", before=FIRST, dry_run=True)
    assert (none, world.kinds()) == (None, before)
    kept, seq = measure_mitigation(world.ports, world.caller(), SECOND, "region", before=FIRST)
    assert kept == found
    assert (kept.method, kept.column) == ("reweigh", "region")
    assert kept.rows == world.ports.stores.of(HOUSE).models.get(SECOND).registered[0].metrics[0].n
    assert world.kinds()[(seq or 0) - 1] == "mitigation.measured"
    tried, _ = measure_mitigation(world.ports, world.caller(), FIRST, "region")
    gaps = [{one.measure: one.value for one in side} for side in (tried.before, tried.after)]
    assert tried.method == "threshold"
    assert gaps[1]["recall"] < gaps[0]["recall"]
    assert tried.thresholds.keys() == {"a", "b"}
    assert card(world.ports, world.caller(), SECOND)["mitigation"][0]["sentence"] == kept.sentence
    heading, lines = plain_card(world.ports, world.caller(), data.ref)["sentences"][-1]
    assert heading == "What treatments of bias did to models"
    assert [line.partition(",")[0] for line in lines] == ["churn@1", "churn@2"]
    with pytest.raises(NotFound):
        measure_mitigation(world.ports, world.caller(), SECOND, "region", before=ModelRef("churn", 9))
    with pytest.raises(InvalidInput, match="Did you mean 'region'"):
        measure_mitigation(world.ports, world.caller(), SECOND, "regin")
