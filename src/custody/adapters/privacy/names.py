"""spaCy as a detector of people, places and organizations: only its entity recognizer runs, in batches."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from custody.core.errors import InvalidInput
from custody.privacy.finding import Finding

LABELS = {  # OntoNotes and the usual four, to the types of tags
    "PERSON": "PERSON", "PER": "PERSON", "ORG": "ORGANIZATION", "GPE": "LOCATION", "LOC": "LOCATION", "FAC": "ADDRESS", "NORP": "NRP",
}  # fmt: skip
UNUSED = ["tagger", "parser", "lemmatizer", "attribute_ruler", "senter", "morphologizer"]
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
            self._nlp: Any = spacy.load(model, exclude=UNUSED)
        except OSError as error:
            raise InvalidInput(
                f"There is no spaCy model '{Path(model).name}'.", fix="Give the folder of an installed model."
            ) from error
        self._batch = batch_size
        meta = self._nlp.meta
        self.name = f"spacy {meta['lang']}_{meta['name']} {meta['version']}"

    def find(self, texts: Sequence[str], *, hint: str = "") -> Sequence[Sequence[Finding]]:  # noqa: ARG002 - a model needs no hint
        """Return the entities of each text whose label has a type."""
        found: list[list[Finding]] = [[] for _ in texts]
        pieces = [(index, at, piece) for index, text in enumerate(texts) for at, piece in windows(text, WINDOW, OVERLAP)]
        documents = self._nlp.pipe((piece for _, _, piece in pieces), batch_size=self._batch)
        for (index, at, _), document in zip(pieces, documents, strict=True):
            for entity in document.ents:
                if kind := LABELS.get(entity.label_):
                    found[index].append(Finding(at + entity.start_char, at + entity.end_char, kind))
        return found


def windows(text: str, size: int, overlap: int) -> Iterator[tuple[int, str]]:
    """Yield pieces of a text with their start; neighbours share `overlap` characters."""
    at = 0
    while True:
        yield at, text[at : at + size]
        if at + size >= len(text):
            return
        at += size - overlap
