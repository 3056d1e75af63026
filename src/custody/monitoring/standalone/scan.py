"""Rows to summaries: one column at a time, two at once."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from custody.core.errors import InvalidInput
from custody.core.measures import arrow
from custody.core.measures.spec import Spec, spec_of_pieces
from custody.core.measures.summary import Summary, count, joined, require
from custody.monitoring.standalone.rows import Rows

THREADS = 2  # decoding and counting release the interpreter for the most part; more columns at once cost memory
Task = TypeVar("Task")
Result = TypeVar("Result")


def _all(work: Callable[[Task], Result], tasks: Iterable[Task]) -> list[Result]:
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(work, tasks))


def scan(rows: Rows, specs: tuple[Spec, ...]) -> Summary:
    """Count rows by given specs; the same bits as `summarise` on all of them at once.

    Raises: InvalidInput if a column is missing, cannot be summarised, or has another length than the others.
    """
    require(rows.names, specs)
    return joined(_all(lambda spec: count(spec, rows.column(spec.source)), specs))


def scan_reference(rows: Rows, columns: tuple[str, ...]) -> Summary:
    """Fix the specs from these rows, then count them.

    A number's grid is read from a sample; the levels of a category from all rows, so the kept ones are the most frequent.
    Raises: InvalidInput without any column.
    """
    if not columns:
        raise InvalidInput("A reference needs at least one column.")

    def specs_of(name: str) -> tuple[Spec, ...]:
        sample = rows.sample(name)
        number = arrow.is_arrow(first := next(iter(sample), ())) and arrow.is_number(first)
        return spec_of_pieces(name, sample if number else rows.column(name))

    return scan(rows, tuple(spec for specs in _all(specs_of, columns) for spec in specs))
