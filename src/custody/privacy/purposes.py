"""Purposes as a tree of dotted keys: which keys exist, which lies below which.

Source of the keys: fideslang 3.1.4, the taxonomy `data_use` (Ethyca, CC BY 4.0).
"""

import re

from custody.core.errors import InvalidInput
from custody.core.refs import near

TRAINING = "train_ai_system"
OWN = "custom"  # the root of a team's own purposes
USES = (
    "analytics",
    "analytics.reporting",
    "analytics.reporting.ad_performance",
    "analytics.reporting.campaign_insights",
    "analytics.reporting.content_performance",
    "analytics.reporting.system",
    "analytics.reporting.system.performance",
    "collect",
    "employment",
    "employment.recruitment",
    "essential",
    "essential.fraud_detection",
    "essential.legal_obligation",
    "essential.service",
    "essential.service.authentication",
    "essential.service.notifications",
    "essential.service.notifications.email",
    "essential.service.notifications.sms",
    "essential.service.operations",
    "essential.service.operations.improve",
    "essential.service.operations.support",
    "essential.service.payment_processing",
    "essential.service.security",
    "essential.service.upgrades",
    "finance",
    "functional",
    "functional.service",
    "functional.service.improve",
    "functional.storage",
    "functional.storage.privacy_preferences",
    "marketing",
    "marketing.advertising",
    "marketing.advertising.first_party",
    "marketing.advertising.first_party.contextual",
    "marketing.advertising.first_party.targeted",
    "marketing.advertising.frequency_capping",
    "marketing.advertising.negative_targeting",
    "marketing.advertising.profiling",
    "marketing.advertising.serving",
    "marketing.advertising.third_party",
    "marketing.advertising.third_party.targeted",
    "marketing.communications",
    "marketing.communications.email",
    "marketing.communications.sms",
    "operations",
    "personalize",
    "personalize.content",
    "personalize.content.limited",
    "personalize.content.profiled",
    "personalize.content.profiling",
    "personalize.profiling",
    "personalize.system",
    "sales",
    "third_party_sharing",
    "third_party_sharing.legal_obligation",
    TRAINING,
)
_KEY = re.compile(r"[a-z][a-z0-9_]{0,63}(?:\.[a-z][a-z0-9_]{0,63}){0,7}")
_ROOTS = frozenset(key.partition(".")[0] for key in USES) | {OWN}


def fault_of(key: str) -> str:
    """Say what is wrong with a purpose key; empty if it is a key of the taxonomy, one below it, or below `custom`."""
    if _KEY.fullmatch(key) and key.partition(".")[0] in _ROOTS and key != OWN:
        return ""
    close = near(key, USES)
    hint = f" (did you mean '{close[0]}'?)" if close else f" (your own begin with '{OWN}.')"
    return f"'{key[:80]}' is not a purpose{hint}"


def purpose_of(text: str) -> str:
    """Return a purpose key, InvalidInput if it is none."""
    if fault := fault_of(text):
        raise InvalidInput(
            f"{fault[0].upper()}{fault[1:]}.", why="Purposes are the data uses of fideslang.", fix=f"Say {TRAINING}"
        )
    return text


def path_to(purpose: str) -> tuple[str, ...]:
    """Return the purposes from the root down to this one.

    >>> path_to("marketing.communications.email")
    ('marketing', 'marketing.communications', 'marketing.communications.email')
    """
    parts = purpose.split(".")
    return tuple(".".join(parts[: n + 1]) for n in range(len(parts)))
