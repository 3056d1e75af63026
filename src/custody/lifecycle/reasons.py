"""What people say in their own words: the ledger keeps it for ever, so it is kept without what tells who somebody is."""

import re

from custody.privacy.policy import ScrubPolicy
from custody.privacy.scrub import scrub

_POLICY = ScrubPolicy()


def kept_reason(text: str) -> str:
    """Return a reason, a ground or an approver as it may be stored: addresses, telephone numbers and their like become tags.

    >>> kept_reason("a campaign; ask ana@example.org")
    'a campaign; ask [EMAIL]'
    """
    return scrub(text.strip(), _POLICY).text


def says_something(kept: str) -> bool:
    """Tell whether a kept text still says more than tags.

    >>> says_something("[EMAIL]"), says_something("the officer, [PHONE]")
    (False, True)
    """
    return any(char.isalnum() for char in re.sub(r"\[[A-Z_]+\]", "", kept))
