"""Counts session files through the cache."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence

from importer.plan.cache import Cache, make_path_key, split_files
from importer.plan.counter import Counter, Work, count_files
from importer.sessions.session_file import SessionFile
from importer.sessions.titles import read_titles
from parsers.counting.rows import CountedFiles

_AT_ONCE = 200  # files whose rows are loaded at once


class CachedCounter:
    """Takes unchanged files from the cache, and has the others counted.

    Args:
        inner: counts the files that the cache does not know.
        cache: the cache.
        work: counts a file here whose entry is gone when it is loaded.
    """

    def __init__(self, inner: Counter, cache: Cache, work: Work) -> None:
        self._inner = inner
        self._cache = cache
        self._work = work

    def count(self, files: Sequence[SessionFile]) -> Iterator[tuple[Sequence[SessionFile], CountedFiles]]:
        """Count files; see :meth:`importer.plan.counter.Counter.count`."""
        known = self._cache.find_known(files)
        new = [file for place, file in enumerate(files) if place not in known]
        counted = self._inner.count(new)
        if not known:
            return self._save(counted)
        return self._merge(files, known, self._save(counted))

    def _save(
        self, counted: Iterator[tuple[Sequence[SessionFile], CountedFiles]]
    ) -> Iterator[tuple[Sequence[SessionFile], CountedFiles]]:
        for part, columns in counted:
            self._cache.save_rows(zip(part, split_files(columns), strict=True))
            yield part, columns

    def _restore(self, file: SessionFile, columns: CountedFiles | None) -> CountedFiles:
        """Complete cached rows with the session's name and first prompt, which are not cached."""
        if columns is None:
            return count_files([file], *self._work)
        about = columns.files[0]
        about.name, about.first_prompt = read_titles(file, about.words_at or (0, 0))
        return columns

    def _merge(
        self,
        files: Sequence[SessionFile],
        known: set[int],
        counted: Iterator[tuple[Sequence[SessionFile], CountedFiles]],
    ) -> Iterator[tuple[Sequence[SessionFile], CountedFiles]]:
        """Yield all files in their order, counted or cached."""
        new: deque[CountedFiles] = deque()
        for start in range(0, len(files), _AT_ONCE):
            some = files[start : start + _AT_ONCE]
            places = range(start, start + len(some))
            old = self._cache.load_rows(
                [file for place, file in zip(places, some, strict=True) if place in known]
            )
            for place, file in zip(places, some, strict=True):
                if place in known:
                    yield [file], self._restore(file, old.pop(make_path_key(file), None))
                    continue
                if not new:
                    new.extend(split_files(next(counted)[1]))
                yield [file], new.popleft()
