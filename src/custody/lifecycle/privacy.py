"""A tenant's privacy policy: how its data is scanned, and whether texts in its captured traffic are scrubbed."""

from collections.abc import Mapping

from custody.core.digest import Json
from custody.core.tenancy import Role
from custody.lifecycle.publish import publish
from custody.lifecycle.stores import Caller, Ports
from custody.privacy.policy import HOUSE_POLICY, PrivacyPolicy, policy_of


def set_privacy(
    ports: Ports, caller: Caller, values: Mapping[str, Json], *, dry_run: bool = False
) -> tuple[PrivacyPolicy, int | None]:
    """Set a tenant's privacy policy; versions that an older one cleared go back to quarantine until they are scanned again."""
    caller.may(Role.ADMIN)
    wanted = policy_of(values)
    with ports.stores.change(caller.tenant, caller.actor, caller.now) as change:
        old = change.scans.policy()
        made = PrivacyPolicy(wanted.scan, wanted.captures, old.number + 1, caller.now)
        if dry_run or (old is not HOUSE_POLICY and (old.scan, old.captures) == (made.scan, made.captures)):
            return (made if dry_run else old), None
        change.scans.add_policy(made)
        facts: dict[str, Json] = {"number": made.number, "policy": made.scan.digest, "captures": made.captures.value}
        entry = change.record("privacy.set", caller.tenant, facts)
    publish(ports, caller.now)
    return made, entry.seq
