"""Progress of long work, on a terminal only."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, BinaryIO, Self

import click


class _Tracked:
    """A file that moves a bar as it is read."""

    def __init__(self, file: IO[bytes], bar: "click._termui_impl.ProgressBar[int]") -> None:
        self._file, self._bar = file, bar

    def read(self, size: int = -1) -> bytes:
        body = self._file.read(size)
        self._bar.update(len(body))
        return body

    def __getattr__(self, name: str) -> object:
        return getattr(self._file, name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


@contextmanager
def tracked(path: str) -> Iterator[BinaryIO]:
    """Open a file (`-` for standard input) whose reading shows on a terminal."""
    if path == "-":
        yield sys.stdin.buffer
        return
    if not Path(path).is_file():
        from custody.core.errors import NotFound

        raise NotFound(f"There is no file '{path}'.", why="It may lie in another folder.", fix="Give its path.")
    size = Path(path).stat().st_size
    with Path(path).open("rb") as file:
        if not sys.stderr.isatty() or size < 5_000_000:
            yield file
            return
        with click.progressbar(length=size, label=f"sending {Path(path).name}", file=sys.stderr) as bar:
            yield _Tracked(file, bar)  # type: ignore[misc]  # quacks like a binary file for the one reader it meets


@contextmanager
def counting(word: str) -> Iterator[Callable[[int, int], None]]:
    """Yield what shows how much of a work is done: `sealing 400 of 1,200`, in one line."""
    shown = sys.stderr.isatty()

    def progress(done: int, total: int) -> None:
        if shown:
            sys.stderr.write(f"\r{word} {done:,} of {total:,}")
            sys.stderr.flush()

    try:
        yield progress
    finally:
        if shown:
            sys.stderr.write("\n")
