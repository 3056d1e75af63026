"""Gaps between groups on live traffic: judged again with each window, at a level that all looks share."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
from lifecycle_world import ACME, ADA, CHURN, POLICY, World

from custody.core.evidence import GroupCounts, Outcome
from custody.gates.bias import bias_check
from custody.gates.policy import BiasRule
from custody.lifecycle.groups import added, group_checks, raise_groups
from custody.lifecycle.promote import set_policy
from custody.monitoring.alert import AlertKind, AlertState
from custody.monitoring.evaluation import Evaluation

RULE = BiasRule("side", "recall", 0.05)


def window(world: World, number: int, north: int, south: int, n: int = 400) -> Evaluation:
    head = world.ports.stores.of(ACME).deployments.head(CHURN)
    assert head is not None
    at, target = world.now + timedelta(hours=number), head.service.live
    groups = tuple(GroupCounts("side", name, 0, 0, n - k, k) for name, k in (("north", north), ("south", south)))
    return Evaluation(f"e{number}", at, at, at, target.model, target.threshold, 2 * n, 2 * n, (), groups=groups)


def test_windows_add_up_and_later_looks_need_more_proof(world: World) -> None:
    world.live()
    rules: dict[str, Any] = {**POLICY, "bias": [{"column": "side", "measure": "recall", "tolerance": 0.05}]}
    set_policy(world.ports, world.caller(), "churn", rules)
    head = world.ports.stores.of(ACME).deployments.head(CHURN)
    assert head is not None
    (first,) = group_checks(world.ports, head, head.service.live, window(world, 1, 300, 290))
    assert (first.outcome, first.facts["look"]) == (Outcome.INCONCLUSIVE, 1)
    assert first.name == "live bias:recall:side@0.4"
    with world.ports.stores.change(ACME, ADA, world.now) as change:
        change.monitors.add_evaluation(CHURN, window(world, 1, 300, 290))
    (second,) = group_checks(world.ports, head, head.service.live, window(world, 2, 300, 160))
    assert (second.outcome, second.facts["look"]) == (Outcome.FAIL, 2)
    assert "(n=800)" in second.sentence
    checks = [second]
    for expected in (1, 1):
        with world.ports.stores.change(ACME, ADA, world.now) as change:
            raise_groups(world.ports, change, head, checks, world.now)
        opened = world.ports.stores.of(ACME).monitors.open_alerts(CHURN)
        assert [(one.kind, one.state) for one in opened] == [(AlertKind.BIAS, AlertState.OPEN)] * expected
    with world.ports.stores.change(ACME, ADA, world.now) as change:
        raise_groups(world.ports, change, head, [replace(second, outcome=Outcome.PASS)], world.now)
    assert list(world.ports.stores.of(ACME).monitors.open_alerts(CHURN)) == []
    assert world.kinds()[-2:] == ["alert.raised", "alert.resolved"]


def test_a_model_without_bias_rules_is_not_judged(world: World) -> None:
    world.live()
    head = world.ports.stores.of(ACME).deployments.head(CHURN)
    assert head is not None
    assert group_checks(world.ports, head, head.service.live, window(world, 1, 400, 0)) == []


def test_over_all_looks_a_gap_at_the_tolerance_rarely_alarms_and_a_large_one_soon_does() -> None:
    rng = np.random.default_rng(11)

    def alarmed(gap: float, windows: int) -> int | None:
        total = np.zeros(2, dtype=int)
        for look in range(1, windows + 1):
            total += rng.binomial(100, [0.7, 0.7 - gap])
            groups = [GroupCounts("side", name, 0, 0, look * 100 - int(k), int(k)) for name, k in zip("ab", total, strict=True)]
            if bias_check(replace(RULE, alpha=RULE.alpha / (look * (look + 1))), groups, 0.5).outcome is Outcome.FAIL:
                return look
        return None

    assert sum(alarmed(0.05, 30) is not None for _ in range(100)) <= 5
    found = [alarmed(0.25, 30) for _ in range(50)]
    assert all(look is not None and look <= 20 for look in found)


def test_counts_of_a_group_that_a_window_lacks_are_kept(world: World) -> None:
    world.live()
    only = replace(window(world, 2, 1, 1), groups=(GroupCounts("side", "north", 0, 0, 3, 4),))
    north, south = added([window(world, 1, 300, 290), only])
    assert (north.tp, south.tp) == (304, 290)
