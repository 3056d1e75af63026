"""Texts as directions, distance and nearest centroid: what an atlas fixes, reads and stores."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from custody.core.digest import Json
from custody.core.errors import InvalidInput
from custody.core.measures.spec import Kind, specs_of
from custody.core.measures.summary import summarise
from custody.monitoring.detector import look, started
from custody.monitoring.embedding import Atlas, atlas_of, embedded
from custody.monitoring.reference import reference_of

WIDTH = 24
LETTERS = np.random.default_rng(1).normal(size=(128, WIDTH))


def letters(texts: list[str]) -> NDArray[np.float64]:
    """Embed a text as the mean of a random vector for each of its letters."""
    return np.array([np.mean([LETTERS[ord(letter) % 128] for letter in text or " "], axis=0) for text in texts])


def texts(rng: np.random.Generator, n: int, alphabet: str = "abcdefgh") -> list[str]:
    return ["".join(rng.choice(list(alphabet), rng.integers(2, 9))) for _ in range(n)]


REFERENCE = texts(np.random.default_rng(2), 600)
ATLAS = atlas_of("comment", REFERENCE, letters, np.random.default_rng(3))
OTHERS = ATLAS.read(texts(np.random.default_rng(7), 600), letters)
SPECS = specs_of(OTHERS)


def test_directions_are_the_principal_ones_of_the_reference() -> None:
    vectors = letters(REFERENCE)
    assert ATLAS.directions.shape == (7, WIDTH)  # means of 8 letters span no more
    assert ATLAS.directions @ ATLAS.directions.T == pytest.approx(np.eye(len(ATLAS.directions)), abs=1e-6)
    spread = ((vectors - vectors.mean(axis=0)) @ ATLAS.directions.T).var(axis=0)
    assert (np.diff(spread) < 1e-9).all()
    assert spread.sum() == pytest.approx(vectors.var(axis=0).sum(), rel=1e-6)


def test_a_text_is_read_as_projections_its_nearest_centroid_and_the_distance_to_it() -> None:
    found = ATLAS.read(["abc", None, "hhh"], letters)
    vectors = letters(["abc", "hhh"])
    distances = np.linalg.norm(vectors[:, None] - ATLAS.centroids, axis=2)
    assert list(found) == list(ATLAS.columns)
    assert [values[1] for values in found.values()] == [None] * len(found)
    assert [found["comment.centroid"][0], found["comment.centroid"][2]] == [f"c{place:02}" for place in distances.argmin(axis=1)]
    assert [found["comment.distance"][0], found["comment.distance"][2]] == pytest.approx(distances.min(axis=1))
    assert found["comment.direction_01"][0] == pytest.approx(float((vectors[0] - ATLAS.mean) @ ATLAS.directions[0]))


def test_centroids_lie_at_the_means_of_the_texts_nearest_to_them_and_the_fullest_comes_first() -> None:
    vectors = letters(REFERENCE)
    nearest = np.linalg.norm(vectors[:, None] - ATLAS.centroids, axis=2).argmin(axis=1)
    counts = np.bincount(nearest, minlength=64)
    assert len(ATLAS.centroids) == 64
    assert counts.argmax() == 0
    inside = float(((vectors - ATLAS.centroids[nearest]) ** 2).sum())
    assert inside < 0.5 * float(((vectors - vectors.mean(axis=0)) ** 2).sum())
    moved = np.array([vectors[nearest == place].mean(axis=0) for place in np.flatnonzero(counts)])
    assert np.abs(moved - ATLAS.centroids[counts > 0]).max() < 0.2


def test_an_atlas_reads_the_same_after_it_was_stored() -> None:
    again = Atlas.from_json(json.loads(json.dumps(ATLAS.to_json())))
    assert again.read(REFERENCE[:50], letters) == ATLAS.read(REFERENCE[:50], letters)
    assert again.to_json() == ATLAS.to_json()


def test_the_same_reference_and_seed_give_the_same_atlas() -> None:
    assert atlas_of("comment", REFERENCE, letters, np.random.default_rng(3)).to_json() == ATLAS.to_json()


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"mean": "!"},
        {"mean": ""},
        {"directions": "AAAA"},
        {"width": "many"},
        {"centroids": None},
        {"mean": "AADAfw=="},
        {"centroids": ""},
    ],
)
def test_a_broken_atlas_is_refused(change: dict[str, Json]) -> None:
    with pytest.raises(InvalidInput):
        Atlas.from_json({**ATLAS.to_json(), **change})
    with pytest.raises(InvalidInput):
        Atlas.from_json([])


def test_a_drift_of_meaning_that_leaves_length_alone_is_an_alarm() -> None:
    rng = np.random.default_rng(4)
    assert [spec.kind for spec in SPECS][-2:] == [Kind.NUMBER, Kind.CATEGORY]
    reference = reference_of(summarise(OTHERS, SPECS))
    calm = moved = started(reference)
    for _ in range(5):
        calm = look(reference, calm, summarise(ATLAS.read(texts(rng, 200), letters), SPECS))
        moved = look(reference, moved, summarise(ATLAS.read(texts(rng, 200, "efghijkl"), letters), SPECS))
    assert not calm.first.any()
    assert moved.first[1].any()


def test_centroids_lie_nearer_the_texts_that_they_were_made_of_so_a_reference_counts_others() -> None:
    own = np.array(ATLAS.read(REFERENCE, letters)["comment.distance"], dtype=np.float64)
    others = np.array(OTHERS["comment.distance"], dtype=np.float64)
    assert np.median(own) < 0.95 * np.median(others)


def test_few_texts_make_a_small_atlas() -> None:
    atlas = atlas_of("t", ["a", "b", None, "b"], letters, np.random.default_rng(5))
    assert (len(atlas.directions), len(atlas.centroids)) == (1, 2)
    same = atlas_of("t", ["a", "a"], letters, np.random.default_rng(5))
    assert (len(same.directions), len(same.centroids)) == (0, 1)
    assert same.read(["a"], letters)["t.distance"] == pytest.approx([0], abs=1e-6)
    assert same.read([None], letters) == {"t.distance": [None], "t.centroid": [None]}


@pytest.mark.parametrize("few", [[], ["a"], [None, "a"]])
def test_too_few_texts_are_refused(few: list[str | None]) -> None:
    with pytest.raises(InvalidInput, match="two texts"):
        atlas_of("t", few, letters, np.random.default_rng(6))


@pytest.mark.parametrize("answer", [np.zeros((1, 3)), np.zeros(2), np.full((2, 3), np.nan), np.zeros((2, 4))])
def test_an_embedding_that_answers_wrongly_is_refused(answer: NDArray[np.float64]) -> None:
    with pytest.raises(InvalidInput, match="one row of finite numbers"):
        embedded(["a", "b"], lambda _: answer, width=3)


@given(st.lists(st.one_of(st.none(), st.text(max_size=5)), min_size=1, max_size=20))
@settings(max_examples=30, deadline=None)
def test_any_texts_can_be_read_and_counted(some: list[str | None]) -> None:
    summary = summarise(ATLAS.read(some, letters), SPECS)
    assert summary.rows == len(some)
    assert all(column.null == some.count(None) for column in summary.columns)
