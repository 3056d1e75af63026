"""Scan states fail closed, the report tells exactly what may be claimed, canaries that stay are found."""

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from custody.core.digest import Digest
from custody.core.errors import Conflict, InvalidInput
from custody.privacy.patterns.pack import PACK
from custody.privacy.patterns.pattern import Tier
from custody.privacy.policy import ScrubPolicy
from custody.privacy.scans.canary import canaries, missed, planted
from custody.privacy.scans.measured import recall_of
from custody.privacy.scans.measurement import clopper_pearson, recalls
from custody.privacy.scans.report import Fault, Grouping, Residual, ScanReport, report_json, report_of
from custody.privacy.scans.state import Decided, Doubted, Finished, PolicyChanged, ScanState, advance
from custody.privacy.scrub import scrub_all

POLICY = ScrubPolicy(name="tickets")
PACK_A = Digest("a" * 64)
REPORT = ScanReport(
    policy_name=POLICY.name,
    policy_digest=POLICY.digest,
    pack_version=1,
    pack_digest=PACK_A,
    detectors=("patterns-default 1.aaaa",),
    rows=10,
    counts={"EMAIL": 3},
    text_bytes=100,
    scanned_bytes=100,
    residual=Residual(("patterns-strict 1.aaaa",), {}),
    canaries=6,
    canaries_found=6,
    recall=recalls("held-out 1", PACK_A, {"EMAIL": (600, 600)}),
    grouping=Grouping(("age", "sex"), 7, 0, {"label": 2}),
    reviewer="R. Roe",
)
GOLDEN = Path(__file__).parent / "scan_report_v1.json"
GAPS: dict[str, Any] = {
    "faults": (Fault.TIMEOUT,),
    "scanned_bytes": 99,
    "unread": ("raw",),
    "unclassified": ("q7",),
    "residual": None,
    "canaries": 0,
}
REFUSALS: dict[str, Any] = {
    "residual": Residual(("other 1",), {"PHONE": 1}),
    "canaries_found": 5,
    "named_columns": ("mail",),
    "grouping": Grouping(("age",), 4, 12),
    "reviewer": None,
}


def test_a_complete_scan_is_scanned_then_cleared_and_says_exactly_this() -> None:
    assert advance(ScanState.QUARANTINED, Finished(REPORT)).state is ScanState.SCANNED
    step = advance(ScanState.SCANNED, Decided(REPORT, POLICY))
    assert step.state is ScanState.CLEARED
    assert step.reasons == (
        (
            f"Scanned under policy tickets version {POLICY.digest[:12]}. On labelled set held-out 1 strict recall was EMAIL 1.000 [0.994, 1.000] "
            "(n = 600). The residual scan found 0. k >= 7 on the declared quasi-identifiers. Reviewed by R. Roe."
        ),
    )


@pytest.mark.parametrize("field", GAPS)
def test_an_incomplete_scan_stays_in_quarantine(field: str) -> None:
    report = replace(REPORT, **{field: GAPS[field]})
    step = advance(ScanState.QUARANTINED, Finished(report))
    assert step.state is ScanState.QUARANTINED
    assert step.reasons
    assert advance(ScanState.SCANNED, Decided(report, POLICY)).state is ScanState.QUARANTINED


def test_a_second_scan_by_the_same_detectors_is_none() -> None:
    report = replace(REPORT, residual=Residual(REPORT.detectors, {}))
    assert "no other detector" in " ".join(report.gaps)


@pytest.mark.parametrize("field", REFUSALS)
def test_a_scan_beyond_the_bounds_is_rejected(field: str) -> None:
    report = replace(REPORT, **{field: REFUSALS[field]})
    step = advance(ScanState.SCANNED, Decided(report, POLICY))
    assert step.state is ScanState.REJECTED
    assert step.reasons


def test_another_policy_decides_nothing_and_a_new_one_sends_back() -> None:
    other = ScrubPolicy(name="other")
    assert advance(ScanState.SCANNED, Decided(REPORT, other)).state is ScanState.QUARANTINED
    for state in ScanState:
        assert advance(state, PolicyChanged(other.digest, PACK_A, REPORT)).state is ScanState.QUARANTINED
        assert advance(state, PolicyChanged(POLICY.digest, Digest("b" * 64), REPORT)).state is ScanState.QUARANTINED
        assert advance(state, PolicyChanged(POLICY.digest, PACK_A, REPORT)).state is state
        assert advance(state, Doubted("A canary was missed.")).state is ScanState.QUARANTINED


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from(ScanState),
    st.sampled_from(
        [
            Finished(REPORT),
            Decided(REPORT, POLICY),
            Doubted("x."),
            *(Finished(replace(REPORT, **{k: v})) for k, v in GAPS.items()),
            *(Decided(replace(REPORT, **{k: v}), POLICY) for k, v in REFUSALS.items()),
        ]
    ),
)
def test_there_is_one_way_to_cleared(state: ScanState, event: Finished | Decided | Doubted) -> None:
    try:
        step = advance(state, event)
    except Conflict:
        return
    if step.state is ScanState.CLEARED:
        assert state is ScanState.SCANNED
        assert event == Decided(REPORT, POLICY)


def test_without_evidence_the_claim_says_so() -> None:
    bare = replace(REPORT, recall=(), grouping=None, reviewer=None, residual=None)
    assert (
        "No recall was measured. No residual scan was made. No quasi-identifiers were declared. Reviewed by nobody." in bare.claim
    )
    assert not any(word in REPORT.claim.lower() for word in ("anonymous", "gdpr", "all pii", "all personal"))


def test_recall_of_another_pack_is_not_quoted() -> None:
    with pytest.raises(InvalidInput, match="another pattern pack"):
        replace(REPORT, pack_digest=Digest("b" * 64))


def test_a_report_is_read_back_and_its_format_is_kept() -> None:
    body = json.loads(json.dumps(report_json(REPORT)))
    assert report_of(body) == REPORT
    assert report_of(body).digest == REPORT.digest
    assert body == json.loads(GOLDEN.read_text())
    assert replace(REPORT, rows=11).digest != REPORT.digest


@pytest.mark.parametrize("change", [{"version": 2}, {"rows": "ten"}, {"nose": 1}])
def test_another_format_is_refused(change: dict[str, Any]) -> None:
    body = json.loads(GOLDEN.read_text())
    with pytest.raises(InvalidInput):
        report_of(body | change)
    with pytest.raises(InvalidInput):
        report_of({key: value for key, value in body.items() if key != "rows"})


def test_data_without_text_is_read_in_full() -> None:
    assert replace(REPORT, text_bytes=0, scanned_bytes=0).coverage == 1
    assert replace(REPORT, scanned_bytes=50).coverage == 0.5


@given(st.integers(1, 60), st.integers(0, 2**32))
@settings(max_examples=25, deadline=None)
def test_canaries_that_are_scrubbed_are_found_and_those_that_stay_are_missed(count: int, seed: int) -> None:
    rng = random.Random(seed)
    made = canaries(rng, count)
    texts = planted(["nothing here", "nor here"], made, rng)
    assert missed(made, texts) == made
    for tier in Tier:
        assert missed(made, [one.text for one in scrub_all(texts, ScrubPolicy(tier=tier))]) == ()
    assert len(planted([], made, rng)) == 1


@pytest.mark.parametrize(
    ("hits", "n", "low", "high"), [(16, 16, 0.7941, 1.0), (0, 10, 0.0, 0.3085), (5, 10, 0.1871, 0.8129), (0, 0, 0.0, 1.0)]
)
def test_the_interval_is_that_of_published_tables(hits: int, n: int, low: float, high: float) -> None:
    assert clopper_pearson(hits, n) == pytest.approx((low, high), abs=1e-4)


def test_a_share_that_cannot_be_is_refused() -> None:
    with pytest.raises(InvalidInput):
        recalls("x", PACK.digest, {"EMAIL": (2, 1)})


def test_this_very_pack_was_measured_and_another_one_quotes_nothing() -> None:
    for tier in Tier:
        quoted = recall_of(PACK.digest, tier)
        assert quoted, "measure the pack again: python bench/privacy.py --measure"
        assert all(one.n >= 600 for one in quoted)
    assert recall_of(PACK_A, Tier.DEFAULT) == ()
