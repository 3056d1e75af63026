"""Watching batch after batch without the platform: evidence that a file keeps."""

import json
from pathlib import Path

import numpy as np
import pytest

from custody import monitoring
from custody.core.errors import InvalidInput
from custody.core.measures.spec import Values
from custody.monitoring.report import Level

Columns = dict[str, Values]


def day(seed: int, shift: float = 0.0) -> Columns:
    rng = np.random.default_rng(seed)
    return {"x": rng.normal(shift, 1, 400), "c": rng.choice(["a", "b"], 400)}


REFERENCE = monitoring.summarise({"x": np.random.default_rng(0).normal(size=10_000), "c": ["a", "b"] * 5000})


def test_a_slow_drift_is_found_over_days_that_say_little_alone() -> None:
    days = [day(seed, 0.3) for seed in range(20)]
    assert {monitoring.compare(REFERENCE, one).level for one in days} <= {Level.NONE, Level.NOTICE}
    detector = monitoring.Detector(REFERENCE)
    found = [detector.look(one) for one in days][-1]
    assert (found.level, found.columns[0].column, detector.looks) == (Level.ALARM, "x", 20)
    assert "Evidence is of 20 looks at 8,000 rows." in found.to_html()


def test_evidence_lives_on_in_its_file(tmp_path: Path) -> None:
    REFERENCE.save(tmp_path / "reference.json.zst")
    in_memory, levels = monitoring.Detector(REFERENCE), []
    for seed in range(8):
        again = monitoring.Detector(tmp_path / "reference.json.zst", tmp_path / "state.json")
        assert again.looks == seed
        levels.append((again.look(day(seed, 0.4)).level, in_memory.look(day(seed, 0.4)).level))
    assert all(kept is whole for kept, whole in levels)
    assert levels[-1][0] is Level.ALARM
    assert (tmp_path / "state.json").stat().st_size < 10_000


def test_a_named_batch_counts_once(tmp_path: Path) -> None:
    detector = monitoring.Detector(REFERENCE, tmp_path / "state.json.gz")
    first = detector.look(day(1, 0.4), "2026-03-01")
    second = monitoring.Detector(REFERENCE, tmp_path / "state.json.gz").look(day(1, 0.4), "2026-03-01")
    assert (second.report.looks, second.report.rows, second.level) == (1, 400, first.level)
    assert detector.look(day(2), "2026-03-02").report.looks == 2
    assert detector.look(day(2)).report.looks == 3
    assert detector.look(day(2)).report.looks == 4


def test_a_batch_that_cannot_be_read_changes_nothing(tmp_path: Path) -> None:
    detector = monitoring.Detector(REFERENCE, tmp_path / "state.json")
    with pytest.raises(InvalidInput, match="lacks the columns c"):
        detector.look({"x": [1.0]}, "2026-03-01")
    assert (detector.looks, list(tmp_path.iterdir())) == (0, [])


def test_evidence_of_another_reference_or_tolerance_is_refused(tmp_path: Path) -> None:
    monitoring.Detector(REFERENCE, tmp_path / "state.json").look(day(1))
    with pytest.raises(InvalidInput, match="another reference"):
        monitoring.Detector(monitoring.summarise(day(3)), tmp_path / "state.json")
    with pytest.raises(InvalidInput, match="another reference"):
        monitoring.Detector(REFERENCE, tmp_path / "state.json", tolerance=monitoring.Tolerance(alpha=0.01))


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", json.dumps({"version": 2, "batches": []}), json.dumps({"version": 1, "batches": 3})]
)
def test_what_is_no_state_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "state.json").write_text(text)
    with pytest.raises(InvalidInput, match="no state of a detector"):
        monitoring.Detector(REFERENCE, tmp_path / "state.json")
