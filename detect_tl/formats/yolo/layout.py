"""Which label file belongs to which image of a YOLO data set."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path


class LabelFiles:
    """The label files of a data set, to be looked up by image."""

    def __init__(self, files: Iterable[Path]) -> None:
        self._files = list(files)
        self._by_path = {os.path.normcase(p): p for p in self._files}
        self._by_stem: dict[str, list[Path]] = defaultdict(list)
        for path in self._files:
            self._by_stem[path.stem].append(path)
        self.used: set[Path] = set()

    def of(self, image: Path) -> Path | None:
        """The label file of an image: in the `labels` that mirrors its `images`, beside it, or
        the only one of its name."""
        for path in (_mirrored(image), image.with_suffix(".txt")):
            found = self._by_path.get(os.path.normcase(path)) if path else None
            if found is not None:
                self.used.add(found)
                return found
        same = self._by_stem.get(image.stem, [])
        if len(same) == 1 and same[0] not in self.used:
            self.used.add(same[0])
            return same[0]
        return None

    def unused(self) -> list[Path]:
        """Label files that no image asked for."""
        return [path for path in self._files if path not in self.used]


def _mirrored(image: Path) -> Path | None:
    parts = list(image.with_suffix(".txt").parts)
    for place in range(len(parts) - 2, -1, -1):
        if parts[place].casefold() == "images":
            parts[place] = "labels" if parts[place] == "images" else "Labels"
            return Path(*parts)
    return None
