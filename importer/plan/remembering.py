"""A counter that asks the cache first."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence

from importer.plan.cache import Cache, each_file, path_key
from importer.plan.counter import Counter, Work, count_files
from importer.sessions.session_file import SessionFile
from importer.sessions.titles import read_titles
from parsers.counting.rows import CountedFiles

_AT_ONCE = 200  # files whose columns are looked up at once


class RememberingCounter:
    """Counts files that are not as they were, and takes the others from the cache.

    Args:
        inner: counts.
        cache: remembers.
        work: what a file is counted with, where the cache fails between two questions.
    """

    def __init__(self, inner: Counter, cache: Cache, work: Work) -> None:
        self._inner = inner
        self._cache = cache
        self._work = work

    def count(self, files: Sequence[SessionFile]) -> Iterator[tuple[Sequence[SessionFile], CountedFiles]]:
        """As :meth:`importer.plan.counter.Counter.count`."""
        known = self._cache.known(files)
        new = [file for place, file in enumerate(files) if place not in known]
        counted = self._inner.count(new)
        if not known:
            return self._remembered(counted)
        return self._merged(files, known, self._remembered(counted))

    def _remembered(
        self, counted: Iterator[tuple[Sequence[SessionFile], CountedFiles]]
    ) -> Iterator[tuple[Sequence[SessionFile], CountedFiles]]:
        for part, columns in counted:
            self._cache.remember(zip(part, each_file(columns), strict=True))
            yield part, columns

    def _restored(self, file: SessionFile, columns: CountedFiles | None) -> CountedFiles:
        """Remembered columns with the session's name and first prompt, which are not remembered."""
        if columns is None:
            return count_files([file], *self._work)
        about = columns.files[0]
        about.name, about.first_prompt = read_titles(file, about.words_at or (0, 0))
        return columns

    def _merged(
        self,
        files: Sequence[SessionFile],
        known: set[int],
        counted: Iterator[tuple[Sequence[SessionFile], CountedFiles]],
    ) -> Iterator[tuple[Sequence[SessionFile], CountedFiles]]:
        """All files in their order, whether they were counted or remembered."""
        new: deque[CountedFiles] = deque()
        for start in range(0, len(files), _AT_ONCE):
            some = files[start : start + _AT_ONCE]
            places = range(start, start + len(some))
            old = self._cache.columns(
                [file for place, file in zip(places, some, strict=True) if place in known]
            )
            for place, file in zip(places, some, strict=True):
                if place in known:
                    yield [file], self._restored(file, old.pop(path_key(file), None))
                    continue
                if not new:
                    new.extend(each_file(next(counted)[1]))
                yield [file], new.popleft()
