"""Evidently: DataDriftPreset to JSON."""

import pandas as pd
from evidently import DataDefinition, Dataset, Report
from evidently.presets import DataDriftPreset
from measured import CATEGORIES, NUMBERS, measure


def work(reference: str, current: str) -> str:
    definition = DataDefinition(numerical_columns=NUMBERS, categorical_columns=CATEGORIES)
    sides = [Dataset.from_pandas(pd.read_parquet(path), data_definition=definition) for path in (reference, current)]
    text = Report([DataDriftPreset()]).run(sides[1], sides[0]).json()
    return f"{len(text)} characters"


measure(work)
