"""Registering a model as a trial."""

from lifecycle_world import World

from custody.core.tenancy import HOUSE
from custody.lifecycle.convert import convert


def test_a_trial_measures_the_model_and_registers_nothing(world: World) -> None:
    run = world.trained(world.data()[0])
    before = list(world.kinds())
    version, entry = convert(world.ports, world.caller(), run, dry_run=True)
    assert entry is None
    assert version.registered[0].metrics
    assert list(world.kinds()) == before
    assert world.ports.stores.of(HOUSE).models.latest("churn") is None
