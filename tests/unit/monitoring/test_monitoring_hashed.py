"""Hashed words: an embedding without a model."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from custody.monitoring.hashed import WIDTH, hashed


@given(st.lists(st.text(), max_size=5))
def test_any_texts_have_length_one_or_zero_and_do_not_depend_on_each_other(texts: list[str]) -> None:
    found = hashed(texts)
    assert found.shape == (len(texts), WIDTH)
    lengths = np.linalg.norm(found, axis=1)
    assert all(abs(length - 1) < 1e-9 or length == 0 for length in lengths)
    for row, text in zip(found, texts, strict=True):
        assert (hashed([text])[0] == row).all()


def test_texts_that_share_words_are_nearer_than_others() -> None:
    one, two, three = hashed(["the singer sang a song", "a song by the singers", "compost for tomatoes"])
    assert one @ two > 0.3
    assert abs(one @ three) < 0.2
