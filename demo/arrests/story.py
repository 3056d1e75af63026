"""The life of a model on real data, told step by step: `make demo` runs this.

Every number is computed while it runs. Every step shows the command that a person would type.
"""

import csv
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sklego.datasets import load_arrests

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))
from narration import Story  # noqa: E402 - it lies beside this folder
from replay import Door, replay  # noqa: E402

TENANTS = {"riverside": 0.4, "hillcrest": 0.5}
story = Story(HERE, Path("demo-project"))
custody, until, title = story.custody, story.until, story.title


def row_of(tenant: str) -> dict[str, Any]:
    """Return a tenant's row of the overview."""
    return story.row(f"{tenant}/prod/release")


def monitor_of(tenant: str) -> dict[str, Any]:
    """Return what a tenant's monitor found."""
    return story.monitor(f"{tenant}/prod/release")


def without(row: dict[str, Any]) -> dict[str, Any]:
    """Return what is known when a decision is asked for: all but the outcome."""
    return {name: value for name, value in row.items() if name != "released"}


def events(rows: list[dict[str, Any]], year: int) -> Iterator[tuple[dict[str, Any], datetime]]:
    """Spread a year's arrests evenly over it: the data gives the year only."""
    start, step = datetime(year, 1, 1, tzinfo=UTC), timedelta(days=365) / max(len(rows), 1)
    return ((row, start + step * i) for i, row in enumerate(rows))


def live_year(year: int, rows: list[dict[str, Any]], doors: dict[str, Door], tenants: list[str]) -> str:
    """Replay a year to each tenant over HTTP, then deliver its labels, late as in life; return one prediction id."""
    last = ""
    for tenant in tenants:
        sent, last = replay(doors[tenant], [(without(row), at) for row, at in events(rows, year)], f"{year}")
        until(
            f"sealing {year} for {tenant}",
            lambda: row_of(tenant)["predictions"] >= doors[tenant].total,
        )
        print(
            f"    {tenant}: {sent.count} requests answered, {sent.yes / sent.count:.0%} decided 'release', median {sent.median_ms:.1f} ms"
        )
    for tenant in tenants:
        file = story.project.absolute() / f"labels-{tenant}-{year}.csv"
        with file.open("w", newline="") as out:
            writer = csv.writer(out)
            writer.writerow(["prediction", "label"])
            writer.writerows((f"{year}-{i}", row["released"]) for i, row in enumerate(rows))
        custody("label", "add", f"{tenant}/prod/release", str(file), keep="new|ledger")
    return last


def show_state(tenants: list[str]) -> None:
    """Print what the monitors found."""
    for tenant in tenants:
        story.show_monitor(f"{tenant}/prod/release")


def main() -> None:
    """Tell the story."""
    frame = load_arrests(as_frame=True)
    past = frame[frame["year"] <= 1999]
    years = {year: frame[frame["year"] == year].drop(columns="year").to_dict("records") for year in (2000, 2001, 2002)}
    story.begin()
    arrests = story.project.absolute() / "arrests-1997-1999.csv"
    past.to_csv(arrests, index=False)

    title("1. One command starts everything")
    with story.platform(TENANTS) as (inference_port, key):
        tell(arrests, years, inference_port, key)
    story.end()


def tell(arrests: Path, years: dict[int, list[dict[str, Any]]], inference_port: int, key: str) -> None:
    """Tell it from the data on."""
    title("2. Data comes in, with where it is from and what it may be used for")
    roles = ["--target", "released", "--positive", "Yes", "--time", "year", "--group", "colour"]
    custody(
        "dataset",
        "add",
        "arrests",
        str(arrests),
        "--card",
        "card.yaml",
        *roles,
        keep="dataset|rows|sources|legal|purposes|ledger",
    )

    title("3. What a model must show is fixed before it is trained")
    custody("gate", "set", "release", "policy.yaml", keep="policy |metrics|bias|ledger")
    custody("golden", "add", "release", "golden.jsonl", keep="golden set|ledger")

    title("4. The first model: trained, converted to ONNX, and refused")
    custody("run", "exec", "--name", "release", "--", "python", "train.py", keep="params|datasets|ledger")
    custody("model", "register", "release", "--run", "last", keep="model |parity|precision|auc|threshold|ledger")
    custody("gate", "check", "release@1", expect=1, keep="REFUSED|fail|inconclusive")
    custody("deployment", "deploy", "release@1", "--tenant", "riverside", expect=5, keep="error|fix")

    title("5. The second model, with its training rows reweighed, passes")
    custody("run", "exec", "--name", "release", "--", "python", "train.py", "--mitigate", keep="params|ledger")
    custody("model", "register", "release", "--run", "last", keep="model |parity|precision|threshold|ledger")
    custody("gate", "check", "release@2", keep="PASSED|bias|golden|parity|ledger")

    title("6. Two tenants, each with a threshold of its own")
    doors = {}
    for tenant, threshold in TENANTS.items():
        custody(
            "deployment",
            "deploy",
            "release@2",
            "--tenant",
            tenant,
            "--env",
            "prod",
            "--threshold",
            str(threshold),
            keep="live|ledger",
        )
        custody("monitor", "set", f"{tenant}/prod/release", "monitor.yaml", keep="ledger")
        costs = ["--fp", "3", "--fn", "1", "--currency", "points"]
        custody("value", "add", f"{tenant}/prod/release", *costs, keep="ledger")
        doors[tenant] = Door(inference_port, tenant, key, "release")
        doors[tenant].wait()
    both = list(TENANTS)

    title("7. The year 2000 arrives as live traffic; labels come when the year is over")
    live_year(2000, years[2000], doors, both)
    for tenant in both:
        until(f"evaluating 2000 for {tenant}", lambda: monitor_of(tenant)["evaluations"])
    show_state(both)

    title("8. The year 2001: does it still decide as well?")
    live_year(2001, years[2001], doors, both)
    for tenant in both:
        until(
            f"evaluating 2001 for {tenant}",
            lambda: len(monitor_of(tenant)["evaluations"]) >= 2,
        )
    show_state(both)

    title("9. A proven loss retrains, by itself: new data, the same recipe, the same gate, then a canary")
    staged = [tenant for tenant in both if any(a["kind"] == "performance" for a in monitor_of(tenant)["alerts"])]
    for tenant in staged:
        until(
            f"retraining for {tenant}",
            lambda: row_of(tenant)["candidate"],
            90,
        )
        custody("deployment", "history", f"{tenant}/prod/release")
    if not staged:
        print("    No loss was proven in either tenant, so nothing was retrained.")
    else:
        custody("gate", "explain", "release@3", keep="PASSED|REFUSED|golden|metric|bias|identity")

    title("10. The year 2002: half of the requests are the canary's; labels decide")
    last = live_year(2002, years[2002], doors, both)
    for tenant in staged:
        until(
            f"judging the canary for {tenant}",
            lambda: not row_of(tenant)["candidate"],
        )
        custody("deployment", "history", f"{tenant}/prod/release")
    custody("deployment", "ls")

    title("11. Any single decision can be traced to the data behind it")
    custody("trace", last)

    title("12. And nobody can rewrite that history unseen")
    checkpoint = story.project.absolute() / "checkpoint.json"
    checkpoint.write_text(custody("ledger", "checkpoint", show=False))
    print(f"  $ custody ledger checkpoint > {checkpoint.name}")
    custody("ledger", "verify", "--checkpoint", str(checkpoint))
    custody("verify")


if __name__ == "__main__":
    main()
