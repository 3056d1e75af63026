from datetime import timedelta

from dashboard_examples import EDGES, LINEAGE, NOW, TIMELINE, estimate, full
from hypothesis import given
from hypothesis import strategies as st

from custody.lifecycle.views import LineageNode
from custody.web.figures.charts import Point, Scale, Series, chart, sparkline, time_ticks, value_ticks
from custody.web.figures.lineage import FOLD, WIDTH, lineage, page_of
from custody.web.figures.measurements import drift, newest, quality, windows
from custody.web.figures.timeline import timeline


def points(*values: float | None) -> tuple[Point, ...]:
    return tuple(Point(NOW + timedelta(days=i), value) for i, value in enumerate(values))


def test_a_window_without_a_measurement_breaks_the_line_and_is_never_zero() -> None:
    drawn = chart([Series("f1", 1, points(0.8, 0.82, None, 0.81))])
    assert drawn is not None
    assert len(drawn.lines[0].paths) == 2
    assert len(drawn.lines[0].dots) == 3


def test_a_long_silence_breaks_the_line_too() -> None:
    silent = (*points(0.8, 0.81, 0.82), Point(NOW + timedelta(days=30), 0.8))
    drawn = chart([Series("f1", 1, silent)])
    assert drawn is not None
    assert len(drawn.lines[0].paths) == 2


def test_nothing_measured_is_no_chart() -> None:
    assert chart([Series("f1", 1, points(None, None))]) is None
    assert chart([]) is None


@given(st.lists(st.floats(0, 1), min_size=1, max_size=60), st.floats(0, 1))
def test_every_measured_point_and_the_limit_lie_inside_the_chart(values: list[float], registered: float) -> None:
    drawn = chart([Series("f1", 1, points(*values))], limit=(registered, "registered"))
    assert drawn is not None
    assert drawn.limit is not None
    heights = [dot.y for line in drawn.lines for dot in line.dots] + [drawn.limit.at]
    assert all(13.9 <= y <= 176.1 for y in heights)


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6))
def test_value_ticks_are_few_and_inside(low: float, length: float) -> None:
    ticks = value_ticks(low, low + length)
    slack = length * 1e-6 + 1e-6 * abs(low)
    assert len(ticks) <= 7
    assert all(low - slack <= tick <= low + length + slack for tick in ticks)


@given(st.integers(60, 86_400 * 3650))
def test_time_ticks_are_few_for_any_length(seconds: int) -> None:
    last = NOW + timedelta(seconds=seconds)
    assert len(time_ticks(NOW, last, Scale(NOW.timestamp(), last.timestamp(), 0, 500))) <= 7


def test_a_quiet_series_looks_quiet() -> None:
    quiet, loud = sparkline([0.02, 0.021, 0.019], 0.02), sparkline([0.02, 0.2, 0.4], 0.02)
    assert quiet is not None
    assert loud is not None
    assert quiet.end[1] > 15 > loud.end[1]
    assert sparkline([], 0.02) is None


def test_the_timeline_shows_each_stretch_with_its_version_and_joins_close_steps() -> None:
    drawn = timeline(TIMELINE, NOW)
    assert drawn is not None
    assert [one.hue for one in drawn.live] == [1, 2, 1, 3]
    assert [one.label for one in drawn.marks] == ["1", "2", "3\N{EN DASH}4", "5", "6", "7"]
    assert drawn.marks[2].back
    assert len(drawn.beside) == 3


def test_the_timeline_covers_all_time_since_the_first_revision() -> None:
    drawn = timeline(TIMELINE, NOW)
    assert drawn is not None
    assert drawn.live[0].x == 6
    assert drawn.live[-1].x + drawn.live[-1].width == 1122
    assert timeline((), NOW) is None


def test_lineage_fits_its_card_and_links_only_pages_that_exist() -> None:
    drawn = lineage(LINEAGE, EDGES, "northwind/prod/churn-signal")
    assert drawn is not None
    assert max(box.x for box in drawn.boxes) + drawn.node_width <= WIDTH
    assert [box.href for box in drawn.boxes if box.href] == ["/deployments/initech/prod/churn-signal"]
    assert [box.id for box in drawn.boxes if box.here] == ["northwind/prod/churn-signal"]


def test_a_long_column_folds_and_keeps_its_edges() -> None:
    many = tuple(LineageNode(f"d{i}", "dataset", f"d{i}", "", 0) for i in range(40))
    run = LineageNode("r", "run", "r", "", 1)
    drawn = lineage((*many, run), tuple((one.id, "r") for one in many), "")
    assert drawn is not None
    assert len(drawn.boxes) == FOLD + 1
    assert "and 29 more" in {box.title for box in drawn.boxes}
    assert ("fold:0", "r") in {(edge.start, edge.end) for edge in drawn.edges}


def test_only_a_deployment_has_a_page() -> None:
    assert page_of("acme/prod/churn") == "/deployments/acme/prod/churn"
    assert page_of("deployment:acme/prod/churn") == "/deployments/acme/prod/churn"
    assert page_of("javascript:alert(1)") == ""


def test_quality_is_drawn_with_its_gap_its_promise_and_the_changes_of_version() -> None:
    view = full()
    found = windows(view.evaluations, "f1")
    drawn = quality(found, estimate(0.86, 4212), view.timeline)
    assert drawn is not None
    assert [len(path.split("L")) for path in drawn.lines[0].paths] == [4, 8]
    assert len(drawn.lines[0].bands) == 2
    assert drawn.limit is not None
    assert drawn.limit.label == "registered 0.860"
    assert [bar.label for bar in drawn.bars][3:6] == ["592", "0", "412"]
    assert drawn.bars[4].height == 0
    assert [event.label for event in drawn.events if event.label] == ["churn-signal@11", "churn-signal@14"]


def test_windows_without_any_label_are_no_chart_rather_than_a_flat_line() -> None:
    view = full()
    assert quality(windows(view.evaluations, "recall"), None, view.timeline) is None
    assert quality((), None, ()) is None


def test_drift_is_one_line_per_reference_with_its_own_expectation_and_starts_at_zero() -> None:
    view = full()
    drawn = drift(view.looks, view.timeline)
    assert drawn is not None
    assert [(line.name, line.dashed) for line in drawn.lines] == [
        ("training, without drift", True),
        ("training", False),
        ("development, without drift", True),
        ("development", False),
    ]
    assert drawn.y_ticks[0].label == "0.0"
    assert [(hue, look.reference) for hue, look in newest(view.looks)] == [(1, "training"), (2, "development")]
