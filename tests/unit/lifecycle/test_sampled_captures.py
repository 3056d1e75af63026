"""Rows that were sampled: all traffic counts for drift, and every reader gets a uniform sample."""

import hashlib
import zlib
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


def test_a_batch_that_is_there_both_plain_and_compressed_is_sealed_once(live: World) -> None:
    """Its deployment began to keep a part of its rows after it was stored, before its server removed the file."""
    _, lines = answers(live, "a", 40)
    before = live.ports.stores.of(ACME).captures.count(CHURN)
    for suffix, body in ((".ndjson", lines), (".ndjson.gz", zlib.compress(lines, wbits=31))):
        assert live.ports.stores.objects.create(f"captures/{ACME}/a{suffix}", body)
    for _ in range(2):
        live.seal()
    assert live.ports.stores.of(ACME).captures.count(CHURN) == before + 40
    assert live.shipped() == []
    assert "captures.quarantined" not in live.kinds()


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
    assert even(both).column("prediction").to_pylist() == inside * 2
    assert even(capture_table(whole)).num_rows == 300
    assert even(capture_table(some)).num_rows == len(inside)


def kept_by_chance(ids: list[PredictionId], shares: list[float], of: list[PredictionId | None]) -> pa.Table:
    columns = {"prediction": [*map(str, ids)], "of": [one and str(one) for one in of], "share": shares}
    return pa.table(columns)


@pytest.mark.parametrize("shares", [(0.1, 1.0), (1.0, 0.1), (0.1, 0.2), (0.3, 0.1)])
def test_a_shadow_is_in_a_uniform_sample_with_its_answer_whatever_the_chance_of_each(shares: tuple[float, float]) -> None:
    ids = [PredictionId(CHURN, 1, CHURN_1, unique_at(row // 3, f"{row // 3:010}".encode()), row % 3) for row in range(3000)]
    shadows = [PredictionId(CHURN, 2, CHURN_1, unique_at(row // 3, f"s{row // 3:09}".encode()), row % 3) for row in range(3000)]
    live, mirrored = ([i for i, one in enumerate(ids) if point_of_row(one) < share] for share in shares)
    names, of = [ids[i] for i in live] + [shadows[i] for i in mirrored], [None] * len(live) + [ids[i] for i in mirrored]
    left = even(kept_by_chance(names, [shares[0]] * len(live) + [shares[1]] * len(mirrored), of))
    answers = {row["prediction"] for row in left.to_pylist() if row["of"] is None}
    assert answers == {row["of"] for row in left.to_pylist() if row["of"] is not None}
    assert answers == {str(one) for one in ids if point_of_row(one) < min(shares)}


def test_rows_that_an_older_server_drew_by_another_number_become_a_uniform_sample_too() -> None:
    ids = [PredictionId(CHURN, 1, CHURN_1, unique_at(number, f"{number:010}".encode())) for number in range(20_000)]
    drawn = [one for one in ids if hash_of(one) < 0.5]
    now = [one for one in ids[:5000] if point_of_row(one) < 0.2]
    left = even(kept_by_chance(drawn + now, [0.5] * len(drawn) + [0.2] * len(now), [None] * (len(drawn) + len(now))))
    assert abs(left.num_rows - len(now) - 4000) < 5 * (20_000 * 0.2 * 0.8) ** 0.5
    assert left.column("prediction").to_pylist()[-len(now) :] == [*map(str, now)]


def hash_of(id: PredictionId) -> float:  # noqa: A002 - the field's word
    """Return what decided until lines were of version 5."""
    return int.from_bytes(hashlib.blake2b(f"keep\0{id}".encode(), digest_size=8).digest()) / 2**64


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
