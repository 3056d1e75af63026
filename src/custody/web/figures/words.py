"""Numbers, money and times as people read them: tabular, in UTC, never rounded into a claim."""

from datetime import UTC, datetime

NOTHING = "\N{EN DASH}"
_MINUS = "\N{MINUS SIGN}"
_THIN = "\N{NARROW NO-BREAK SPACE}"
_SIGN = {"USD": "$", "EUR": "€", "GBP": "£", "JPY": "¥"}


def moment(at: datetime | None) -> str:
    """Write a time as `2026-11-23 04:14`, in UTC."""
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M") if at else NOTHING


def clock(at: datetime) -> str:
    """Write the time of day as `04:14:24`, in UTC."""
    return at.astimezone(UTC).strftime("%H:%M:%S")


def iso(at: datetime) -> str:
    """Write a time for machines: `2026-11-23T04:14:24Z`."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def count(number: float | None) -> str:
    """Write a whole number with thousands separated: `12,345`."""
    return NOTHING if number is None else f"{number:,.0f}".replace("-", _MINUS)


def figure(number: float | None, places: int = 3) -> str:
    """Write a metric with fixed decimals, so that columns align: `0.831`."""
    return NOTHING if number is None else f"{number:.{places}f}".replace("-", _MINUS)


def share(part: float | None) -> str:
    """Write a share of 0..1 in percent; only nothing is 0 % and only all is 100 %."""
    if part is None:
        return NOTHING
    if 0 < part < 0.01:
        return f"<{_THIN}1{_THIN}%"
    return f"{min(99, round(part * 100)) if part < 1 else 100}{_THIN}%"


def money(amount: float, currency: str | None) -> str:
    """Write an amount short enough for a table cell: `$2,100`, `€49.6 k`, `CHF 1.48 M`."""
    size = abs(amount)
    if size >= 999_500:
        digits = f"{size / 1e6:.2f}{_THIN}M"
    elif size >= 10_000:
        digits = f"{size / 1e3:.1f}{_THIN}k"
    else:
        digits = f"{size:,.2f}" if 0 < size < 10 else f"{size:,.0f}"
    unit = currency or ""
    return f"{_MINUS if amount < 0 else ''}{_SIGN.get(unit, unit + _THIN if unit else '')}{digits}"


def cost(amount: float | None, currency: str | None) -> str:
    """Write what decisions cost; a negative cost is what they earned."""
    if amount is None:
        return NOTHING
    return f"earned {money(-amount, currency)}" if amount < 0 else money(amount, currency)


def price(amount: float, currency: str) -> str:
    """Write what one decision costs or earns: `costs $120`, `earns $40`, `nothing`."""
    if amount == 0:
        return "nothing"
    return f"{'earns' if amount < 0 else 'costs'} {money(abs(amount), currency)}"


def clip(text: str, most: int = 280) -> str:
    """Cut a text that would drown the page, and show that it was cut."""
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"
