"""Rows that were sampled: all traffic counts for drift, and every reader gets a uniform sample."""

from datetime import timedelta

import msgspec
import pyarrow as pa
import pytest
from lifecycle_world import ACME, CHURN, CHURN_1, World

from custody.core.digest import digest_of
from custody.core.errors import Conflict, InvalidInput
from custody.core.manifest import Handling, Manifest, Mode, SignedManifest
from custody.core.prediction import PredictionId, unique_at
from custody.lifecycle.captured import capture_table, even, row_of, rows_between
from custody.lifecycle.monitor import set_monitor
from custody.lifecycle.publish import CURRENT, publish
from custody.lifecycle.references import read_summary
from custody.lifecycle.release import Plan, advance, release
from custody.serving.capture import Capture, CaptureMode, line_of, write_batch
from custody.serving.sampling import Rule, open_batch, point_of_row, sampled


def published(world: World) -> Manifest:
    body = world.ports.stores.objects.read(CURRENT)
    assert body is not None
    return msgspec.json.decode(msgspec.json.decode(body, type=SignedManifest).manifest, type=Manifest)


def answers(world: World, name: str, count: int) -> tuple[list[PredictionId], bytes]:
    """Return captures of the live version, as the data plane writes them."""
    world.now += timedelta(minutes=1)
    ms = int(world.now.timestamp() * 1000)
    ids = [PredictionId(CHURN, 1, CHURN_1, unique_at(ms + i, f"{name:>6}{i:04}".encode())) for i in range(count)]
    lines = [
        Capture(one, ms + i, None, None, CaptureMode.LIVE, None, 0.4, {"age": [i / 100]}, [i / count], [i > count / 2], 90)
        for i, one in enumerate(ids)
    ]
    return ids, b"".join(map(line_of, lines))


@pytest.fixture
def live(world: World) -> World:
    world.live()
    set_monitor(world.ports, world.caller(), CHURN, {"look_rows": 100})
    world.ship("first", count=1)
    world.seal()  # makes the reference
    release(world.ports, world.caller(), Plan(CHURN, CHURN_1, capture_share=0.2))
    return world


def rule(world: World) -> Rule:
    service = published(world).services[0]
    reference = service.live.reference
    assert reference is not None
    return Rule(service.handling.capture_share, reference, read_summary(world.ports.stores.objects, reference).specs)


def looks(world: World) -> list[str]:
    return [one.batch for one in world.ports.stores.of(ACME).monitors.looks(CHURN, limit=10)]


def test_the_manifest_says_the_share_and_by_which_reference_the_others_are_counted(live: World) -> None:
    service = published(live).services[0]
    assert service.handling == Handling(0.2)
    assert service.live.reference == live.ports.stores.of(ACME).monitors.state(CHURN, f"reference:{CHURN_1}@0.4")
    assert not publish(live.ports, live.caller().now)


def test_drift_looks_at_all_traffic_whatever_share_was_kept(live: World) -> None:
    _, lines = answers(live, "a", 400)
    part = sampled([lines], {(CHURN_1, 0.4): rule(live)})
    live.put("a", write_batch(part))
    assert live.seal() == len(open_batch(write_batch(part))[0]) < 400
    summary = read_summary(live.ports.stores.objects, looks(live)[0])
    assert summary.rows == 401
    assert summary.column("age").rows == 401
    entry = [one for one in live.ports.stores.ledger.entries() if one.kind == "captures.sealed"][-1]
    assert entry.body["summarised_rows"] == 400 - entry.body["batches"][0][2]  # type: ignore[index, operator]


def test_a_sampled_look_is_the_same_to_the_bit_as_one_at_all_rows(live: World) -> None:
    _, lines = answers(live, "a", 400)
    live.put("a", write_batch(lines))
    live.seal()
    part = sampled([lines], {(CHURN_1, 0.4): rule(live)})
    live.put("b", write_batch(part))
    live.seal()
    first, second = (read_summary(live.ports.stores.objects, batch) for batch in looks(live)[:2])
    columns = [[one.column(name) for name in ("age", "score", "decision")] for one in (first, second)]
    assert {first.rows, second.rows} == {400, 401}  # one waited from the start
    assert [one.quantile(0.9) for one in columns[0][:2]] == [one.quantile(0.9) for one in columns[1][:2]]


def test_a_batch_of_which_no_row_was_kept_is_sealed_once_and_counts(live: World) -> None:
    _, lines = answers(live, "a", 150)
    part = sampled([lines], {(CHURN_1, 0.4): Rule(1e-9, rule(live).reference, rule(live).specs)})
    live.put("a", write_batch(part))
    assert live.seal() == 0
    assert live.shipped() == []
    assert read_summary(live.ports.stores.objects, looks(live)[0]).rows == 151
    rows = rows_between(live.ports, CHURN)
    assert rows is not None
    assert rows.num_rows == 1
    captures = live.ports.stores.of(CHURN.tenant).captures
    assert (captures.count(CHURN), captures.answered(CHURN)) == (1, 151)
    live.put("a", write_batch(part))
    live.seal()
    assert len(looks(live)) == 1


def test_counts_by_another_reference_are_not_looked_at_and_the_entry_says_so(live: World) -> None:
    _, lines = answers(live, "a", 150)
    old = rule(live)
    live.put("a", write_batch(sampled([lines], {(CHURN_1, 0.4): Rule(0.2, digest_of(b"another"), old.specs)})))
    assert live.seal() > 0
    entry = [one for one in live.ports.stores.ledger.entries() if one.kind == "captures.sealed"][-1]
    assert "another reference" in str(entry.body["drift_not_computed"])


def test_rows_of_two_shares_become_one_uniform_sample(live: World) -> None:
    ids, lines = answers(live, "a", 300)
    part = sampled([lines], {(CHURN_1, 0.4): rule(live)})
    whole, some = open_batch(write_batch(lines))[0], open_batch(write_batch(part))[0]
    both = pa.concat_tables([capture_table(whole), capture_table(some)], promote_options="permissive")
    inside = [str(one) for one in ids if point_of_row(one) < 0.2]
    rows = even(both).column("prediction").to_pylist()
    drawn = rows[: len(rows) - len(inside)]
    assert rows[len(drawn) :] == inside
    assert abs(len(drawn) - 60) < 5 * (300 * 0.2 * 0.8) ** 0.5
    assert len({*drawn} & {*inside}) < len(drawn) / 2  # whether a row was kept says nothing about whether it is drawn
    third = both.set_column(both.column_names.index("share"), "share", pa.array([0.5] * 300 + [0.2] * len(inside)))
    assert {*drawn} < {*even(third).column("prediction").to_pylist()[: -len(inside)]}
    assert even(capture_table(whole)).num_rows == 300
    assert even(capture_table(some)).num_rows == len(inside)


def test_a_kept_row_is_found_by_its_id_and_another_is_not(live: World) -> None:
    ids, lines = answers(live, "a", 60)
    live.put("a", write_batch(sampled([lines], {(CHURN_1, 0.4): rule(live)})))
    live.seal()
    kept = {str(one) for one in ids if point_of_row(one) < 0.2}
    assert 0 < len(kept) < 60
    assert {str(one) for one in ids if row_of(live.ports, one) is not None} == kept


def test_the_handling_stays_through_every_step_until_it_is_changed(live: World) -> None:
    release(live.ports, live.caller(), Plan(CHURN, CHURN_1, 0.5, Mode.CANARY, 0.5))
    assert advance(live.ports, live.caller(), CHURN, "promote")[0].service.handling == Handling(0.2)
    assert advance(live.ports, live.caller(), CHURN, "rollback")[0].service.handling == Handling(0.2)
    changed, _ = release(live.ports, live.caller(), Plan(CHURN, CHURN_1, capture_share=1.0, max_batch=32, max_wait_us=300))
    assert changed.service.handling == Handling(1.0, 32, 300)
    assert published(live).services[0].live.reference is None
    with pytest.raises(Conflict):
        release(live.ports, live.caller(), Plan(CHURN, CHURN_1))


@pytest.mark.parametrize("wrong", [{"capture_share": 0.0}, {"capture_share": 1.1}, {"max_batch": 0}, {"max_wait_us": -1}])
def test_a_handling_that_cannot_be_is_refused(live: World, wrong: dict[str, float]) -> None:
    with pytest.raises(InvalidInput):
        release(live.ports, live.caller(), Plan(CHURN, CHURN_1, **wrong))  # type: ignore[arg-type]
