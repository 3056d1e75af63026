"""Names with a stand-in for spaCy: what is asked, where it was found; and the invented names that a small model is taught with."""

import random
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from custody.adapters.privacy.chosen import detectors
from custody.adapters.privacy.names import MOST, WINDOW, Names
from custody.adapters.privacy.recognizer import UNUSED, Recognizer
from custody.adapters.privacy.teaching.examples import LABELS, example
from custody.adapters.privacy.teaching.invented import FAMILIES, MAKERS
from custody.adapters.privacy.teaching.plain import MOST as SENTENCES
from custody.adapters.privacy.teaching.plain import plain_sentences
from custody.adapters.privacy.teaching.teach import main, teach
from custody.core.errors import InvalidInput
from custody.privacy.finding import Finding


class Pipeline:
    """A pipeline of a make that is not spaCy's own: every word with a capital is a person."""

    def __init__(self) -> None:
        self.pipe_names = ["ruler"]
        self.meta = {"lang": "xx", "name": "capitals", "version": "1"}
        self.asked: list[list[str]] = []

    def pipe(self, texts: list[str], *, batch_size: int) -> list[SimpleNamespace]:
        assert batch_size >= len(texts)
        self.asked.append(list(texts))
        return [SimpleNamespace(ents=[_entity(found) for found in re.finditer(r"[A-Z]\w*", text)]) for text in texts]


def _entity(found: re.Match[str]) -> SimpleNamespace:
    return SimpleNamespace(start_char=found.start(), end_char=found.end(), label_="MONEY" if found[0] == "EUR" else "PERSON")


@pytest.fixture
def pipeline(monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    made = Pipeline()

    def load(_model: object, exclude: list[str]) -> Pipeline:
        assert exclude == UNUSED
        return made

    monkeypatch.setitem(sys.modules, "spacy", SimpleNamespace(load=load))
    return made


def test_equal_texts_are_asked_once_and_texts_without_a_letter_never(pipeline: Pipeline) -> None:
    texts = ["see Ana", "12:30", "", "see Ana", "EUR 5 for Bo"]
    found = Names("capitals").find(texts)
    assert found == [[Finding(4, 7, "PERSON")], (), (), [Finding(4, 7, "PERSON")], [Finding(10, 12, "PERSON")]]
    assert pipeline.asked == [["see Ana", "EUR 5 for Bo"]]


def test_a_long_text_is_asked_in_windows_and_offsets_count_on_all_of_it(pipeline: Pipeline) -> None:
    text = "x" * (WINDOW + 100) + " Ana"
    (found,) = Names("capitals").find([text])
    assert found == [Finding(len(text) - 3, len(text), "PERSON")]
    assert max(map(len, pipeline.asked[0])) == WINDOW


def test_a_batch_has_a_most(pipeline: Pipeline) -> None:
    texts = [f"{number} Bo" + "x" * 9_000 for number in range(100)]
    Names("capitals").find(texts)
    assert max(sum(map(len, batch)) for batch in pipeline.asked) <= MOST
    assert [text for batch in pipeline.asked for text in batch] == texts


def test_a_pipeline_of_another_make_runs_as_it_is() -> None:
    made = Pipeline()
    documents = Recognizer(made).documents(["Ana", "bo"])
    assert [len(document.ents) for document in documents] == [1, 0]


def test_several_models_are_asked_one_after_the_other() -> None:
    assert len(detectors("general, folder/small").names) == 2
    assert detectors("").names == ()


@given(st.integers(0, 2**32), st.booleans())
def test_names_stand_where_an_example_says(seed: int, own: bool) -> None:
    sentences = ["{person} lives at {address}, {place}"] if own else []
    made = example(random.Random(seed), own=sentences)
    assert "{" not in made.text
    at = 0
    for start, end, label in made.names:
        assert at <= start < end <= len(made.text)
        assert label in LABELS.values()
        at = end
    assert made == example(random.Random(seed), own=sentences)


def test_what_is_held_out_is_part_of_no_invented_name() -> None:
    rng = random.Random(1)
    avoid = {"bank", "street", "san"}
    texts = [example(rng, own=["{organization} {address} {place}"], avoid=avoid) for _ in range(300)]
    parts = {part.lower() for made in texts for a, b, _ in made.names for part in re.findall(r"[^\W\d_]+", made.text[a:b])}
    assert not parts & avoid
    assert len(parts) > 300


def test_every_family_invents_every_kind() -> None:
    rng = random.Random(2)
    for family in FAMILIES:
        for make in MAKERS.values():
            assert len({make(rng, family) for _ in range(30)}) > 20


def test_plain_sentences_are_many_and_without_code() -> None:
    sentences = plain_sentences()
    assert len(set(sentences)) == len(sentences) == SENTENCES
    assert not any(set("{}[]_") & set(one) for one in sentences)


def test_teaching_without_spacy_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "spacy", None)
    with pytest.raises(InvalidInput, match="spaCy"):
        teach(tmp_path, seed=1)
    assert main([str(tmp_path)]) == 2
    assert main([str(tmp_path), "--sentences", str(tmp_path / "none.txt")]) == 2
    said = capsys.readouterr().err
    assert "spaCy" in said
    assert "none.txt" in said
