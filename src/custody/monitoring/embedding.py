"""Texts in the drift detector: what an embedding says of a text, as ordinary columns of numbers and one category.

A sample of the reference's embeddings fixes 16 principal directions and 64 centroids. Each other text then becomes its projections on
the directions, its distance to the nearest centroid and that centroid's name: columns for `core.measures`, mergeable and watched
like any other. The embedding itself is any function of texts; none is shipped.
"""

import base64
import binascii
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from custody.core.digest import Json
from custody.core.errors import InvalidInput
from custody.core.measures.spec import Values

EMBEDDING_VERSION = 1
DIRECTIONS, CENTROIDS, ITERATIONS = 16, 64, 25
Floats = NDArray[np.float64]
Embed = Callable[[list[str]], Any]


@dataclass(frozen=True, slots=True, eq=False)
class Atlas:
    """What a reference fixes about embeddings of one text column: d numbers a text.

    mean: shape (d,). directions: at most 16 of length 1, most spread first, shape (r, d). centroids: at most 64, most texts
    first, shape (k, d). All are float32 values, so that a stored atlas reads the same.
    """

    column: str
    mean: Floats
    directions: Floats
    centroids: Floats

    @property
    def columns(self) -> tuple[str, ...]:
        """Return the names of the columns it makes: `text.direction_01`, ..., `text.distance`, `text.centroid`."""
        directions = (f"{self.column}.direction_{number:02}" for number in range(1, len(self.directions) + 1))
        return (*directions, f"{self.column}.distance", f"{self.column}.centroid")

    def read(self, texts: Sequence[str | None], embed: Embed) -> dict[str, Values]:
        """Turn n texts into columns of n values each; a text that is None is null in every column.

        Raises: InvalidInput if `embed` does not return d finite numbers for each text.
        """
        present = [place for place, text in enumerate(texts) if text is not None]
        vectors = embedded([text for text in texts if text is not None], embed, width=len(self.mean))
        found: dict[str, Values] = {}
        for name, values in zip(self.columns, self._described(vectors), strict=True):
            column: list[object] = [None] * len(texts)
            for place, value in zip(present, values, strict=True):
                column[place] = value
            found[name] = column
        return found

    def _described(self, vectors: Floats) -> list[list[Any]]:
        if not len(vectors):
            return [[] for _ in self.columns]
        projections = (vectors - self.mean) @ self.directions.T
        nearest, distances = _nearest(vectors, self.centroids)
        return [*projections.T.tolist(), distances.tolist(), [f"c{place:02}" for place in nearest]]

    def to_json(self) -> dict[str, Json]:
        """Write the atlas with the format's version; numbers as base64 of little-endian float32."""
        arrays: dict[str, Json] = {name: _packed(getattr(self, name)) for name in ("mean", "directions", "centroids")}
        return {"version": EMBEDDING_VERSION, "column": self.column, "width": len(self.mean), **arrays}

    @classmethod
    def from_json(cls, body: Json) -> Self:
        """Read an atlas back; another version or a broken text is InvalidInput."""
        if not isinstance(body, dict) or body.get("version") != EMBEDDING_VERSION:
            raise InvalidInput("This is not an atlas that can be read.", why=f"The only known version is {EMBEDDING_VERSION}.")
        try:
            width = int(str(body["width"]))
            mean, directions, centroids = (_unpacked(body[name], width) for name in ("mean", "directions", "centroids"))
        except (KeyError, TypeError, ValueError) as error:
            raise InvalidInput("The stored atlas is not readable.", why="The text was cut or edited.") from error
        if len(mean) != 1 or not len(centroids):
            raise InvalidInput("The stored atlas is not readable.", why="The text was cut or edited.")
        return cls(str(body["column"]), mean[0], directions, centroids)


def _packed(array: Floats) -> str:
    return base64.b64encode(array.astype("<f4").tobytes()).decode()


def _unpacked(text: Json, width: int) -> Floats:
    try:
        found = np.frombuffer(base64.b64decode(str(text), validate=True), dtype="<f4").astype(np.float64)
    except binascii.Error as error:
        raise ValueError(text) from error
    if not np.isfinite(found).all():
        raise ValueError(text)
    return found.reshape(-1, width)


def embedded(texts: Sequence[str], embed: Embed, *, width: int | None = None) -> Floats:
    """Embed texts and check the answer: shape (n, d), finite; without texts shape (0, d).

    Raises: InvalidInput if the numbers are not finite, not one row a text, or not `width` wide.
    """
    if not texts:
        return np.empty((0, width or 0))
    found = np.asarray(embed(list(texts)), dtype=np.float64)
    if found.ndim != 2 or len(found) != len(texts) or found.shape[1] != (width or found.shape[1]) or not np.isfinite(found).all():
        raise InvalidInput(
            "The embedding did not give one row of finite numbers for each text.",
            why="It must be a function of a list of texts that returns an array of shape (texts, dimensions), always equally wide.",
            facts={"texts": len(texts), "shape": str(found.shape), "width": width},
        )
    return found


def atlas_of(column: str, texts: Sequence[str | None], embed: Embed, rng: np.random.Generator) -> Atlas:
    """Fix directions and centroids by a sample of texts, two at least that are not None; 5,000 are plenty.

    Take other texts than those that the reference summary counts: centroids lie nearer the texts that they were made of, and a
    detector would find later texts farther away.
    Raises: InvalidInput if there are too few texts or `embed` answers wrongly.
    Source: principal components by singular values (Pearson 1901); k-means with k-means++ (Lloyd 1982; Arthur and
    Vassilvitskii 2007).
    """
    vectors = embedded([text for text in texts if text is not None], embed)
    if len(vectors) < 2:
        raise InvalidInput("An atlas of embeddings needs two texts at least.", facts={"column": column, "texts": len(vectors)})
    mean = vectors.mean(axis=0)
    _, sizes, rows = np.linalg.svd(vectors - mean, full_matrices=False)
    kept = int((sizes > 1e-6 * max(float(sizes[0]), 1e-30)).sum()) if sizes[0] > 0 else 0
    directions = rows[: min(kept, DIRECTIONS)]
    largest = directions[np.arange(len(directions)), np.abs(directions).argmax(axis=1)] if len(directions) else np.ones(0)
    directions = directions * np.sign(largest)[:, None]
    return Atlas(column, _short(mean), _short(directions), _short(_centroids(vectors, rng)))


def _centroids(vectors: Floats, rng: np.random.Generator) -> Floats:
    """Return at most 64 centroids, those of most texts first: k-means, or each vector if there are no more."""
    distinct = np.unique(vectors, axis=0)
    found = distinct if len(distinct) <= CENTROIDS else _spread(distinct, rng)
    for _ in range(ITERATIONS):
        nearest, _ = _nearest(vectors, found)
        counts = np.bincount(nearest, minlength=len(found))
        sums = np.zeros_like(found)
        np.add.at(sums, nearest, vectors)
        after = np.where(counts[:, None] > 0, sums / np.maximum(counts, 1)[:, None], found)
        if np.array_equal(after, found):
            break
        found = after
    counts = np.bincount(_nearest(vectors, found)[0], minlength=len(found))
    return found[np.lexsort((np.arange(len(found)), -counts))]


def _nearest(vectors: Floats, centroids: Floats) -> tuple[NDArray[np.int64], Floats]:
    """Return the nearest centroid of each vector, and how far it is."""
    found = np.empty(len(vectors), dtype=np.int64)
    for start in range(0, len(vectors), 4096):  # bounds the memory
        part = vectors[start : start + 4096]
        found[start : start + 4096] = ((centroids**2).sum(axis=1) - 2 * part @ centroids.T).argmin(axis=1)
    return found, np.linalg.norm(vectors - centroids[found], axis=1)


def _spread(vectors: Floats, rng: np.random.Generator) -> Floats:
    """Choose 64 of the vectors, each with a chance in proportion to its squared distance to those before (k-means++)."""
    chosen = [int(rng.integers(len(vectors)))]
    away = ((vectors - vectors[chosen[0]]) ** 2).sum(axis=1)
    while len(chosen) < CENTROIDS:
        chosen.append(int(rng.choice(len(vectors), p=away / away.sum())))
        away = np.minimum(away, ((vectors - vectors[chosen[-1]]) ** 2).sum(axis=1))
    return vectors[chosen]


def _short(array: Floats) -> Floats:
    found: Floats = array.astype(np.float32).astype(np.float64)
    return found
