"""k-anonymity and l-diversity of declared quasi-identifiers: how small the groups are in which a person hides."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from custody.core.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class Anonymity:
    """What the groups of equal quasi-identifiers look like.

    k: rows of the smallest group, 0 without rows. wanted: the k asked for. groups: how many there are.
    small_groups and small_rows: groups with fewer rows than wanted, and the rows in them.
    diversity: per sensitive column, the fewest distinct values in a group (l); uniform_rows: rows in groups with one value only,
    whose sensitive value is known to whoever finds the group, whatever k is.
    """

    k: int
    wanted: int
    rows: int
    groups: int
    small_groups: int
    small_rows: int
    quasi_identifiers: tuple[str, ...]
    diversity: Mapping[str, int] = field(default_factory=dict)
    uniform_rows: Mapping[str, int] = field(default_factory=dict)

    @property
    def reached(self) -> bool:
        """Tell whether every group has at least the rows that were asked for."""
        return self.small_groups == 0


def anonymity(table: pa.Table, quasi_identifiers: Sequence[str], *, k: int = 5, sensitive: Sequence[str] = ()) -> Anonymity:
    """Count the groups of equal quasi-identifiers; null is a value like others, and so is NaN.

    k alone does not stop attribute disclosure, so declare the sensitive columns too.
    Raises: InvalidInput for an unknown column, no quasi-identifier, or k < 1.
    Source: Samarati and Sweeney 1998 (k-anonymity); Machanavajjhala et al. 2007 (distinct l-diversity).
    """
    if not quasi_identifiers or k < 1:
        raise InvalidInput("k-anonymity needs at least one quasi-identifier and k of at least 1.", facts={"k": k})
    groups = _groups(table, quasi_identifiers)
    sizes = np.bincount(groups) if len(groups) else np.zeros(0, np.int64)
    small = sizes < k
    diversity, uniform = {}, {}
    for name in sensitive:
        pairs = np.unique(np.stack([groups, _codes(table, name)]), axis=1)[0]
        distinct = np.bincount(pairs, minlength=len(sizes))
        diversity[name] = int(distinct.min()) if len(distinct) else 0
        uniform[name] = int(sizes[distinct == 1].sum())
    return Anonymity(
        k=int(sizes.min()) if len(sizes) else 0,
        wanted=k,
        rows=table.num_rows,
        groups=len(sizes),
        small_groups=int(small.sum()),
        small_rows=int(sizes[small].sum()),
        quasi_identifiers=tuple(quasi_identifiers),
        diversity=diversity,
        uniform_rows=uniform,
    )


def crowded(table: pa.Table, quasi_identifiers: Sequence[str], *, k: int) -> NDArray[np.bool_]:
    """Tell which rows are in groups of at least k, shape (rows,); the others are to be suppressed.

    Rows are left out whole: with nulls in place of their values they would be a group of their own, again too small perhaps.
    Source: Sweeney 2002, Achieving k-anonymity privacy protection using generalization and suppression (of tuples).
    """
    groups = _groups(table, quasi_identifiers)
    made: NDArray[np.bool_] = np.bincount(groups)[groups] >= k if len(groups) else np.zeros(0, np.bool_)
    return made


def _groups(table: pa.Table, names: Sequence[str]) -> NDArray[np.int64]:
    """Return numbers for the groups of equal values, shape (rows,), from 0 without gaps."""
    groups = np.zeros(table.num_rows, np.int64)
    for name in names:
        codes = _codes(table, name)
        both = groups * (codes.max(initial=0) + 1) + codes  # both factors are at most the rows, so int64 holds their product
        groups = np.unique(both, return_inverse=True)[1].astype(np.int64)
    return groups


def _codes(table: pa.Table, name: str) -> NDArray[np.int64]:
    """Return numbers for the distinct values of a column, shape (rows,); null has a number of its own."""
    if name not in table.column_names:
        raise InvalidInput(f"There is no column '{name}'.", why=f"There are {', '.join(table.column_names)}.")
    coded = table.column(name).combine_chunks()
    if not pa.types.is_dictionary(coded.type):
        coded = coded.dictionary_encode()
    codes: NDArray[np.int64] = coded.indices.fill_null(len(coded.dictionary)).to_numpy(zero_copy_only=False).astype(np.int64)
    return codes
