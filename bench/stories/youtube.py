"""The life of a text model on two years of dated comments: five channels as tenants, spam that changes, a filter that follows.

python bench/stories/youtube.py [FILE]    FILE: youtube.csv.gz with columns id, text, label, client, ts, author

Only counts and measures are printed, never a comment or its author; both stay outside this repository.
"""

import argparse
import csv
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from onnxruntime import InferenceSession

from custody.cli.live import trace_text

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(ROOT / "demo"))
from narration import Story  # noqa: E402 - it lies in the demo's folder
from replay import Door, replay  # noqa: E402

DATA = ROOT.parent / "shared" / "data" / "youtube.csv.gz"
BEGIN = "2014-11-01"  # what is older is the first training data
PERIODS = {
    "Nov 2014 to Apr 2015": BEGIN,
    "1 to 23 May 2015": "2015-05-01",
    "24 to 26 May": "2015-05-24",
    "27 May to 5 June": "2015-05-27",
}
CHANNELS = {"psy": 0.6, "katyperry": 0.5, "lmfao": 0.5, "shakira": 0.6, "eminem": 0.5}
HOW_TO_GET = """This story needs the YouTube Spam Collection (Alberto, Lochter and Almeida 2015; CC BY 4.0):
  https://archive.ics.uci.edu/dataset/380/youtube+spam+collection
Join its five files into one CSV with the columns id, text, label (1 = spam), client (the channel), ts (ISO 8601) and author, then:
  python bench/stories/youtube.py FILE
"""
MIN_LABELS = 30  # as monitor.yaml says
story = Story(HERE / "youtube", Path(".bench") / "youtube-story")


@dataclass
class Told:
    """What happened: comments and answers by period and channel; alerted: where a loss was proven; retrained: what it led to."""

    comments: dict[tuple[str, str], pd.DataFrame]
    doors: dict[str, Door] = field(default_factory=dict)
    answers: dict[tuple[str, str], list[tuple[int, bool]]] = field(default_factory=dict)
    alerted: list[str] = field(default_factory=list)
    retrained: dict[str, int] = field(default_factory=dict)
    last: str = ""

    def right(self, period: str, channel: str, version: int | None = None) -> np.ndarray:
        """Return whether each answer was right, of one version or of all."""
        truth = self.comments[period, channel]["label"].to_numpy()
        pairs = zip(self.answers[period, channel], truth, strict=True)
        return np.array([said == bool(label) for (by, said), label in pairs if version in (None, by)], dtype=bool)


def key_of(channel: str) -> str:
    """Return the deployment of a channel."""
    return f"{channel}/prod/spam"


def read(path: Path) -> pd.DataFrame:
    """Read the dated comments in the order of time, without author and id; exit 2 if the file is absent."""
    if not path.is_file():
        sys.stderr.write(f"There is no file '{path}'.\n{HOW_TO_GET}")
        sys.exit(2)
    frame = pd.read_csv(path, usecols=["text", "label", "client", "ts"])
    dated = frame.dropna(subset=["ts"]).assign(ts=lambda rows: pd.to_datetime(rows["ts"], utc=True, format="ISO8601"))
    left_out = frame[frame["ts"].isna()]
    print(
        f"{len(frame):,} comments of {frame['client'].nunique()} channels; {len(left_out)} have no date and are left out "
        f"(all of {', '.join(left_out['client'].unique())}, {left_out['label'].mean():.0%} spam)."
    )
    return dated.assign(client=dated["client"].str.lower()).sort_values("ts", kind="stable").reset_index(drop=True)


def split(live: pd.DataFrame) -> Iterator[tuple[tuple[str, str], pd.DataFrame]]:
    """Cut the live comments by period and channel."""
    ends = [*[pd.Timestamp(start, tz="UTC") for start in list(PERIODS.values())[1:]], pd.Timestamp.max.tz_localize("UTC")]
    for (period, start), end in zip(PERIODS.items(), ends, strict=True):
        rows = live[(live["ts"] >= pd.Timestamp(start, tz="UTC")) & (live["ts"] < end)]
        for channel in CHANNELS:
            yield (period, channel), rows[rows["client"] == channel]


def bring_in(past: pd.DataFrame) -> None:
    """Ingest the first training data and fix the rules."""
    story.title("2. Data comes in, with where it is from and what it may be used for")
    file = story.project.absolute() / "comments.csv"
    past[["text", "label", "ts"]].to_csv(file, index=False)
    roles = ["--target", "label", "--positive", "1", "--time", "ts"]
    story.custody(
        "dataset",
        "add",
        "comments",
        str(file),
        "--card",
        "card.yaml",
        *roles,
        keep="dataset  |rows|sources|legal|purposes|ledger",
    )
    print("  Comments hold telephone numbers and ages, which the card does not declare: a next version without them is made.")
    story.custody("dataset", "scrub", "comments@1", keep="from|into|columns|removed|CLEARED|REJECTED|ledger")

    story.title("3. What a model must show is fixed before it is trained")
    story.custody("gate", "set", "spam", "policy.yaml", keep="policy |metrics|max_|ledger")
    story.custody("golden", "add", "spam", "golden.jsonl", keep="golden set|ledger")


def first_model() -> None:
    """Train, register and judge the first version."""
    story.title("4. The first model: trained, converted to ONNX, compared with the original, judged")
    story.custody("run", "exec", "--name", "spam", "--", "python", "train.py", keep="params|datasets|ledger")
    story.custody("model", "register", "spam", "--run", "last", keep="model |inputs|parity|accuracy|recall|threshold|ledger")
    story.custody("gate", "check", "spam@1", keep="PASSED|REFUSED|metric|golden|parity|ledger")


def deploy(told: Told, port: int, key: str) -> None:
    """Serve every channel at its own threshold."""
    story.title("5. Five channels, each with a threshold of its own")
    for channel, threshold in CHANNELS.items():
        where = ["--tenant", channel, "--env", "prod", "--threshold", str(threshold)]
        story.custody("deployment", "deploy", "spam@1", *where, keep="live|ledger")
        story.custody("monitor", "set", key_of(channel), "monitor.yaml", keep="ledger")
        told.doors[channel] = Door(port, channel, key, "spam", shape=(1,))
        told.doors[channel].wait()


def live(told: Told, period: str) -> None:
    """Replay a period to every channel over HTTP, at the data's own times, then deliver its labels and wait for verdicts."""
    number = list(PERIODS).index(period) + 1
    before = {channel: len(story.monitor(key_of(channel))["evaluations"]) for channel in CHANNELS}
    present = [channel for channel in CHANNELS if len(told.comments[period, channel])]
    for channel in present:
        rows, door = told.comments[period, channel], told.doors[channel]
        events = [({"text": text}, at.to_pydatetime()) for text, at in zip(rows["text"], rows["ts"], strict=True)]
        sent, told.last = replay(door, events, f"{number}")
        told.answers[period, channel] = sent.decisions
        story.until(f"sealing for {channel}", lambda c=channel, d=door: story.row(key_of(c))["predictions"] >= d.total)
        print(
            f"    {channel}: {sent.count} comments answered, {sent.yes / sent.count:.0%} called spam, median {sent.median_ms:.1f} ms"
        )
    due = [channel for channel in present if unjudged(told, channel) >= MIN_LABELS]
    for channel in present:
        file = story.project.absolute() / f"labels-{channel}-{number}.csv"
        with file.open("w", newline="") as out:
            writer = csv.writer(out)
            writer.writerow(["prediction", "label"])
            writer.writerows((f"{number}-{i}", label) for i, label in enumerate(told.comments[period, channel]["label"]))
        story.custody("label", "add", key_of(channel), str(file), keep="new|ledger")
    for channel in due:
        story.until(f"judging {channel}", lambda c=channel: len(story.monitor(key_of(c))["evaluations"]) > before[c])
        story.show_monitor(key_of(channel))
    for channel in present:
        if channel not in due and 0 < (waiting := unjudged(told, channel)) < MIN_LABELS:
            print(f"    {channel}: {waiting} labels of the live version are not judged yet: {MIN_LABELS} are needed")


def unjudged(told: Told, channel: str) -> int:
    """Count the answers of a channel's live version that no evaluation has covered yet."""
    version = int(story.row(key_of(channel))["model"].partition("@")[2])
    given = sum(by == version for (_, c), answers in told.answers.items() if c == channel for by, _ in answers)
    model, judged = {"name": "spam", "version": version}, story.monitor(key_of(channel))["evaluations"]
    return given - sum(int(one["labelled"]) for one in judged if one["model"] == model)


def proofs(told: Told) -> None:
    """Say for every channel whether a loss was proven by the platform's own test."""
    story.title("8. What is proven, and what is not")
    registered = story.answer("model", "show", "spam@1")["result"]["registered"]
    promised = {at["threshold"]: next(m for m in at["metrics"] if m["metric"] == "accuracy") for at in registered}
    for channel in CHANNELS:
        view = story.monitor(key_of(channel))
        proven = [alert["check"]["sentence"] for alert in view["alerts"] if alert["kind"] == "performance"]
        if proven:
            told.alerted.append(channel)
            print(f"    {channel}: a loss is PROVEN: {proven[0]}")
            continue
        found = [m for one in view["evaluations"] for m in one["metrics"] if m["metric"] == "accuracy"]
        seen = ", then ".join(map(written, found)) or "never judged: too few labels"
        print(f"    {channel}: no loss is proven: accuracy {seen}; promised {written(promised[CHANNELS[channel]])}")


def written(metric: dict[str, float]) -> str:
    """Write an estimate with its interval."""
    return f"{metric['value']:.3f} [{metric['low']:.3f}, {metric['high']:.3f}] on {metric['n']}"


def retrain(told: Told) -> None:
    """Wait until the worker has retrained what was proven to be worse, and show how the result was judged."""
    story.title("9. A proven loss retrains, by itself: new data, the same recipe, the same gate, then a canary")
    for channel in told.alerted:
        story.until(f"retraining for {channel}", lambda c=channel: story.row(key_of(c))["candidate"], 90)
        newest = story.answer("deployment", "history", key_of(channel))[0]["service"]
        told.retrained[channel] = newest["candidate"]["target"]["model"]["version"]
        story.custody("deployment", "history", key_of(channel), keep="canary")
        story.custody("gate", "explain", f"spam@{told.retrained[channel]}", keep="PASSED|REFUSED|golden|metric|identity|parity")
    if not told.alerted:
        print("    No loss was proven, so nothing was retrained.")


def decide(told: Told, period: str) -> None:
    """Wait until labels have decided on each canary that has enough of them."""
    for channel, version in told.retrained.items():
        old, new = told.right(period, channel, 1), told.right(period, channel, version)
        print(
            f"    {channel}: spam@1 was right in {share(old)}, the canary spam@{version} in {share(new)}, on comments of the same days"
        )
        if len(new) >= MIN_LABELS:
            story.until(f"judging the canary for {channel}", lambda c=channel: not story.row(key_of(c))["candidate"])
            story.until(f"judging what is live for {channel}", lambda c=channel: unjudged(told, c) < MIN_LABELS)
        story.custody("deployment", "history", key_of(channel))


def share(right: np.ndarray) -> str:
    """Write a share with its counts."""
    return f"{right.mean():.3f} ({right.sum()} of {len(right)})" if len(right) else "none (0 of 0)"


def accuracy_of(version: int, rows: pd.DataFrame, threshold: float) -> float:
    """Score comments with a version's ONNX file, outside the platform, and return its accuracy."""
    file = story.project.absolute() / f"spam-{version}.onnx"
    if not file.is_file():
        story.custody("model", "pull", f"spam@{version}", str(file), show=False)
    session = InferenceSession(file, providers=["CPUExecutionProvider"])
    name = session.get_outputs()[1].name
    scores = session.run([name], {"text": rows["text"].to_numpy(dtype=object)})[0][:, 1]
    return float(((scores >= threshold) == (rows["label"] == 1)).mean())


@dataclass(frozen=True)
class Line:
    """Accuracy on one channel's comments of one period: as answered, of spam@1, and of the retrained version if it may be asked."""

    channel: str
    n: int
    spam: float
    answered: float
    first: float
    retrained: str


def line_of(told: Told, period: str, channel: str) -> Line:
    """Measure one channel's comments of one period; what a version learned from is not asked of it."""
    rows, version = told.comments[period, channel], told.retrained.get(channel)
    fresh = period not in list(PERIODS)[:2]
    new = f"{accuracy_of(version, rows, CHANNELS[channel]):.3f} (spam@{version})" if version and fresh else "-"
    answered, first = float(told.right(period, channel).mean()), accuracy_of(1, rows, CHANNELS[channel])
    return Line(channel, len(rows), rows["label"].mean(), answered, first, new)


def table(told: Told) -> None:
    """Print accuracy by period and channel: as answered, and of both versions on the same comments."""
    story.title("11. Accuracy over time, channel by channel")
    print(f"    {'period':<22}{'channel':<11}{'n':>5}{'spam':>6}{'answered':>10}{'spam@1':>8}{'retrained':>16}")
    for period in PERIODS:
        lines = [line_of(told, period, channel) for channel in CHANNELS if len(told.comments[period, channel])]
        n = [line.n for line in lines]
        spam, answered, first = np.average([(line.spam, line.answered, line.first) for line in lines], axis=0, weights=n)
        for line in [*lines, Line("all", sum(n), spam, answered, first, "")]:
            numbers = f"{line.n:>5}{line.spam:>6.2f}{line.answered:>10.3f}{line.first:>8.3f}{line.retrained:>16}"
            print(f"    {period:<22}{line.channel:<11}{numbers}".rstrip())
    print(
        "    answered: by whatever served, canary included. spam@1, retrained: on all comments of the row, from the ONNX files;"
    )
    print(
        "    '-': not retrained, or it learned from that period. Where spam is 0.00, accuracy is the share of comments let through."
    )


def close(told: Told) -> None:
    """Trace one decision and verify the history."""
    story.title("12. Any single decision can be traced to the data behind it, and nobody can rewrite the history unseen")
    print(f"  $ custody trace {told.last}")
    found = story.answer("trace", told.last)["result"]
    for step in found["steps"]:
        step["facts"] = {name: "(kept, not shown here)" if name == "inputs" else value for name, value in step["facts"].items()}
    print("\n".join(f"    {line[:190]}" for line in trace_text(found).splitlines()))
    checkpoint = story.project.absolute() / "checkpoint.json"
    checkpoint.write_text(story.custody("ledger", "checkpoint", show=False))
    print(f"  $ custody ledger checkpoint > {checkpoint.name}")
    story.custody("ledger", "verify", "--checkpoint", str(checkpoint))
    story.custody("verify")


def main() -> None:
    """Tell the story."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("file", nargs="?", type=Path, default=DATA)
    rows = read(parser.parse_args().file)
    past = rows[rows["ts"] < pd.Timestamp(BEGIN, tz="UTC")]
    told = Told(dict(split(rows[len(past) :])))
    print(
        f"The first {len(past)}, of before {BEGIN}, are the training data; the later {len(rows) - len(past)} come as live traffic."
    )
    story.begin()
    story.title("1. One command starts everything")
    with story.platform(CHANNELS) as (port, key):
        tell(told, past, port, key)
    story.end()


def tell(told: Told, past: pd.DataFrame, port: int, key: str) -> None:
    """Tell it from the data on."""
    bring_in(past)
    first_model()
    deploy(told, port, key)
    one, two, three, four = PERIODS
    story.title(f"6. {one} arrives as live traffic; labels come when the period is over")
    live(told, one)
    story.title(f"7. {two}: does it still decide as well?")
    live(told, two)
    proofs(told)
    retrain(told)
    story.title(f"10. {three}: most comments are the canary's, and labels decide; {four}: what was promoted answers")
    live(told, three)
    decide(told, three)
    live(told, four)
    story.custody("deployment", "ls")
    print("    Ages are counted to today, and these comments are from 2014 and 2015: hence 'late'.")
    table(told)
    close(told)


if __name__ == "__main__":
    main()
