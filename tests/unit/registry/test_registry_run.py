"""A run ends once, in one of three ways, and stays as it ended."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from custody.core.errors import Conflict
from custody.registry.run import Run, RunStatus, ended

START = datetime(2026, 3, 1, tzinfo=UTC)
RUN = Run("r1", "train", RunStatus.RUNNING, START)
ENDS = [RunStatus.FINISHED, RunStatus.FAILED, RunStatus.KILLED]


@pytest.mark.parametrize("status", ENDS)
def test_a_running_run_ends_in_any_of_three_ways(status: RunStatus) -> None:
    end = START + timedelta(hours=1)
    assert ended(RUN, status, end) == replace(RUN, status=status, ended_at=end)


@pytest.mark.parametrize("status", ENDS)
def test_ending_again_the_same_way_changes_nothing(status: RunStatus) -> None:
    once = ended(RUN, status, START)
    assert ended(once, status, START + timedelta(days=1)) is once


@given(st.lists(st.sampled_from(RunStatus), max_size=6))
def test_the_first_end_is_the_end(wishes: list[RunStatus]) -> None:
    run = RUN
    for wish in wishes:
        if wish is run.status or (run.status is RunStatus.RUNNING and wish is not RunStatus.RUNNING):
            run = ended(run, wish, START)
        else:
            with pytest.raises(Conflict, match=f"has already ended as {run.status}"):
                ended(run, wish, START)
    first = next((wish for wish in wishes if wish is not RunStatus.RUNNING), RunStatus.RUNNING)
    assert run.status is first
