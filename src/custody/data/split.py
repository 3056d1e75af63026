"""Splits rows into training and holdout, the same way in every version."""

import hashlib
from enum import StrEnum

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


class Split(StrEnum):
    """Which side of the split."""

    TRAIN = "train"
    HOLDOUT = "holdout"
    ALL = "all"


def holdout_mask(table: pa.Table, share: float) -> np.ndarray:
    """Tell for each row whether it belongs to the holdout: shape (n,), bool.

    A row's side depends on its content alone: equal rows never fall on both sides, and adding rows moves none.
    """
    columns = [pc.fill_null(column.cast(pa.string()), "\x00") for column in table.columns]
    joined = pc.binary_join_element_wise(*columns, "\x1f").to_pylist() if columns else []
    limit = int(share * 2**32)
    hashes = (hashlib.blake2b(text.encode(), digest_size=4).digest() for text in joined)
    return np.fromiter((int.from_bytes(h) < limit for h in hashes), dtype=bool, count=len(joined))


def part_of(table: pa.Table, split: Split, share: float) -> pa.Table:
    """Return the rows of one side."""
    if split is Split.ALL:
        return table
    mask = holdout_mask(table, share)
    return table.filter(pa.array(mask if split is Split.HOLDOUT else ~mask))
