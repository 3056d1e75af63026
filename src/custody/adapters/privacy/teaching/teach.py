"""Train a small model of names with spaCy: `python -m custody.adapters.privacy.teaching.teach FOLDER`.

The model is for a union with a general one: it finds the names that the general model does not know. By itself it is worse.
"""

import argparse
import random
import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from custody.adapters.privacy.recognizer import multiply_by_numpy
from custody.adapters.privacy.teaching.examples import LABELS, Example, example
from custody.core.errors import InvalidInput

COUNT, BATCH, RATE, DROP = 24_000, 96, 0.002, 0.25
WIDTH, DEPTH = 96, 2
_TOK2VEC = {
    "@architectures": "spacy.HashEmbedCNN.v2", "pretrained_vectors": None, "width": WIDTH, "depth": DEPTH, "embed_size": 3000,
    "window_size": 1, "maxout_pieces": 3, "subword_features": True,
}  # fmt: skip


def teach(
    folder: Path, *, seed: int, count: int = COUNT, own: Sequence[str] = (), avoid: Collection[str] = ()
) -> Sequence[float]:
    """Train on so many sentences, each seen once, and write the model; return the loss of each tenth.

    own: a project's sentences with places for names. avoid: see `example`. The same seed gives the same sentences.
    Raises: InvalidInput with the install line if spaCy is missing.
    """
    try:
        import spacy
        from spacy.training import Example as Pair
    except ImportError as error:
        raise InvalidInput("Teaching a model of names needs spaCy.", fix="pip install 'custody-ml[ner]'") from error
    spacy.util.fix_random_seed(seed)
    rng = random.Random(seed)  # noqa: S311 - nothing secret is drawn
    nlp = spacy.blank("en")
    ner = nlp.add_pipe("ner", config={"model": _model()})
    for label in LABELS.values():
        ner.add_label(label)
    optimizer = nlp.initialize(lambda: [_pair(nlp, Pair, example(rng, own=own, avoid=avoid)) for _ in range(200)])
    optimizer.learn_rate = RATE
    multiply_by_numpy(nlp)
    losses = []
    steps = count // BATCH
    for step in range(steps):
        optimizer.learn_rate = RATE * (1 - step / steps) + RATE / 50
        pairs = [_pair(nlp, Pair, example(rng, own=own, avoid=avoid)) for _ in range(BATCH)]
        losses.append(nlp.update(pairs, sgd=optimizer, drop=DROP)["ner"] / BATCH)
    nlp.meta.update(name="taught_names", version="1.0.0", description="Finds invented names by where they stand.")
    nlp.to_disk(folder)
    tenth = max(1, steps // 10)
    return [sum(losses[at : at + tenth]) / len(losses[at : at + tenth]) for at in range(0, steps, tenth)]


def _model() -> dict[str, Any]:
    """Return the shape of the network, as spaCy's configuration says it."""
    return {
        "@architectures": "spacy.TransitionBasedParser.v2", "state_type": "ner", "extra_state_tokens": False, "hidden_width": 64,
        "maxout_pieces": 2, "use_upper": True, "tok2vec": _TOK2VEC,
    }  # fmt: skip


def _pair(nlp: Any, pair: Any, made: Example) -> Any:
    """Write an example as spaCy's pair of a document and what it should be; a name is widened to whole tokens."""
    from spacy.util import filter_spans

    document, goal = nlp.make_doc(made.text), nlp.make_doc(made.text)
    spans = (goal.char_span(start, end, label, alignment_mode="expand") for start, end, label in made.names)
    goal.set_ents(filter_spans([span for span in spans if span is not None]))
    return pair(document, goal)


def main(arguments: Sequence[str]) -> int:
    """Teach a model as the command line says."""
    parser = argparse.ArgumentParser(prog="python -m custody.adapters.privacy.teaching.teach", description=__doc__)
    parser.add_argument("folder", type=Path, help="where the model goes; set names_model to MODEL,FOLDER to use both")
    parser.add_argument("--sentences", type=Path, help="sentences of your own, one a line: {person} works for {organization}")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=COUNT, help="sentences to learn from")
    given = parser.parse_args(arguments)
    try:
        own = given.sentences.read_text(encoding="utf-8").splitlines() if given.sentences else ()
        losses = teach(given.folder, seed=given.seed, count=given.count, own=[line for line in own if line.strip()])
    except (InvalidInput, OSError, UnicodeDecodeError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    sys.stdout.write("loss: " + " ".join(f"{loss:.2f}" for loss in losses) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
