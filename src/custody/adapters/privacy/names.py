"""spaCy as a detector of people, places and organizations: only its entity recognizer runs, in batches."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from custody.adapters.privacy.batches import batches
from custody.adapters.privacy.recognizer import UNUSED, Recognizer
from custody.core.errors import InvalidInput
from custody.privacy.finding import Finding

LABELS = {  # OntoNotes and the usual four, to the types of tags
    "PERSON": "PERSON", "PER": "PERSON", "ORG": "ORGANIZATION", "GPE": "LOCATION", "LOC": "LOCATION", "FAC": "ADDRESS", "NORP": "NRP",
}  # fmt: skip
MOST = 200_000  # characters of a batch
_LETTER = re.compile(r"[^\W\d_]")
WINDOW, OVERLAP = 20_000, 256  # characters; a name across a border is whole in one of two windows


class Names:
    """A loaded spaCy model behind the port of detectors.

    model: a folder or the name of an installed model. Install models from a wheel that is pinned by hash: names such as
    en-core-web-trf 999.9.9 in public registries are not the models they look like.
    Raises: InvalidInput with the install line if spaCy is missing, or if there is no such model.
    """

    def __init__(self, model: str | Path, *, batch_size: int = 256) -> None:
        try:
            import spacy
        except ImportError as error:
            raise InvalidInput("Finding names needs spaCy.", fix="pip install 'custody-ml[ner]'") from error
        try:
            nlp: Any = spacy.load(model, exclude=UNUSED)
        except OSError as error:
            raise InvalidInput(
                f"There is no spaCy model '{Path(model).name}'.", fix="Give the folder of an installed model."
            ) from error
        self._recognizer, self._batch = Recognizer(nlp), batch_size
        self.name = f"spacy {nlp.meta['lang']}_{nlp.meta['name']} {nlp.meta['version']}"

    def find(self, texts: Sequence[str], *, hint: str = "") -> Sequence[Sequence[Finding]]:  # noqa: ARG002 - a model needs no hint
        """Return the entities of each text whose label has a type; equal texts are asked once, texts without a letter never."""
        pieces = {text: list(windows(text, WINDOW, OVERLAP)) for text in dict.fromkeys(texts) if _LETTER.search(text)}
        asked = list(dict.fromkeys(piece for each in pieces.values() for _, piece in each))
        entities: dict[str, list[Finding]] = {}
        for batch in batches(asked, MOST, self._batch):
            for piece, document in zip(batch, self._recognizer.documents(batch), strict=True):
                entities[piece] = _found(document)
        found = {
            text: [replace(one, start=at + one.start, end=at + one.end) for at, piece in each for one in entities[piece]]
            for text, each in pieces.items()
        }
        return [found.get(text, ()) for text in texts]


def _found(document: Any) -> list[Finding]:
    """Return the entities of a document whose label has a type."""
    return [
        Finding(entity.start_char, entity.end_char, LABELS[entity.label_]) for entity in document.ents if entity.label_ in LABELS
    ]


def windows(text: str, size: int, overlap: int) -> Iterator[tuple[int, str]]:
    """Yield pieces of a text with their start; neighbours share `overlap` characters."""
    at = 0
    while True:
        yield at, text[at : at + size]
        if at + size >= len(text):
            return
        at += size - overlap
