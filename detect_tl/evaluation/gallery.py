"""mistakes.html: pages of pictures of what went wrong, each linked to its file."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import numpy as np

from detect_tl import __version__
from detect_tl.core.detections import Detections
from detect_tl.core.geometry import Box
from detect_tl.core.images import Image, read_image
from detect_tl.core.pages import embedded_jpeg, write_page
from detect_tl.core.progress import Progress, Silent, track
from detect_tl.evaluation.matching import Matches
from detect_tl.evaluation.mistakes import Mistake, MistakeKind, worst_images
from detect_tl.evaluation.pictures import Picture, picture_of
from detect_tl.evaluation.sheet import Sheet
from detect_tl.evaluation.truth import truth_detections, unpack_mask

_TEMPLATE = Path(__file__).parent / "templates" / "mistakes.html.j2"
_MOST = 24  # of a kind
_MOST_IMAGES = 8
_LONGEST = 300
_AROUND = 0.6  # of the side of an object, shown on each side of it
_LEAST_SIDE = 64  # pixels that a cutting shows at least

TITLES: Mapping[MistakeKind, tuple[str, str]] = {
    "label?": (
        "Labels to look at",
        "The model is sure, and the annotation says otherwise. One of the two is wrong.",
    ),
    "false alarm": ("False alarms", "The surest detections that are wrong."),
    "missed": ("Missed objects", "The largest objects that were not found."),
}


@dataclass(frozen=True, slots=True)
class Cutting:
    """A piece of an image around a mistake.

    data: address of the embedded picture. width, height: of the piece, in pixels of the image.
    box: the mistake, others: boxes of objects nearby, both from the corner of the piece.
    link: to the file. caption: what is wrong.
    """

    data: str
    width: int
    height: int
    box: Box
    others: tuple[Box, ...]
    link: str
    name: str
    caption: str
    missed: bool


@dataclass(frozen=True, slots=True)
class Gallery:
    """A page of mistakes that is to be written to `path`.

    confidence: of every class, from which on a detection is shown. files: by id of the image.
    """

    path: Path
    title: str
    sheet: Sheet
    matches: Matches
    mistakes: Mapping[MistakeKind, Sequence[Mistake]]
    confidence: Sequence[float]
    files: Mapping[int, Path]

    def write(self, progress: Progress | None = None) -> None:
        """Write the page, whole or not at all; it needs no other file."""
        chosen = {kind: some[:_MOST] for kind, some in self.mistakes.items()}
        cuttings = self._cuttings([m for some in chosen.values() for m in some], progress)
        worst = worst_images(self.matches, self.confidence)
        shown = [number for number, _, _ in worst[:_MOST_IMAGES]]
        values = {
            "title": self.title,
            "version": __version__,
            "sections": [
                (*TITLES[kind], [cuttings[id(m)] for m in chosen[kind]], len(self.mistakes[kind]))
                for kind in TITLES
            ],
            "pairs": [(self._whole(number), self._link(number)) for number in shown],
            "left_out": len(worst) - len(shown),
        }
        write_page(self.path, _TEMPLATE, values)

    def _file(self, number: int) -> Path:
        return self.files[self.sheet.image_ids[number]]

    def _link(self, number: int) -> str:
        """The address of an image, as the page needs it."""
        file = self._file(number)
        try:
            return quote(Path(os.path.relpath(file, self.path.parent)).as_posix())
        except ValueError:  # another drive of Windows
            return file.resolve().as_uri()

    def _cuttings(
        self, mistakes: Sequence[Mistake], progress: Progress | None
    ) -> dict[int, Cutting]:
        """By identity of the mistake; every image is read once."""
        by_image: dict[int, list[Mistake]] = defaultdict(list)
        for mistake in mistakes:
            by_image[mistake.image].append(mistake)
        found = {}
        for number in track(progress or Silent(), sorted(by_image), "Mistakes"):
            image = read_image(self._file(number))
            for mistake in by_image[number]:
                found[id(mistake)] = self._cut(image, mistake)
        return found

    def _cut(self, image: Image, mistake: Mistake) -> Cutting:
        box, objects = mistake.box, self.matches.objects
        left, top, right, bottom = _piece(box, image.shape[1], image.shape[0])
        rows = np.flatnonzero((objects.image == mistake.image) & ~objects.crowd)
        others = [_moved(Box.from_xywh(*objects.xywh[row].tolist()), left, top) for row in rows]
        there = Box(0, 0, right - left, bottom - top)
        score = "" if mistake.score is None else f" ({mistake.score:.2f})"
        return Cutting(
            data=embedded_jpeg(image[top:bottom, left:right], _LONGEST),
            width=right - left,
            height=bottom - top,
            box=_moved(box, left, top),
            others=tuple(each for each in others if _touch(each, there)),
            name=self._file(mistake.image).name,
            link=self._link(mistake.image),
            caption=mistake.text + score,
            missed=mistake.kind == "missed",
        )

    def _whole(self, number: int) -> Picture:
        """An image with its objects and what was shown to a person."""
        found, classes = self.matches.found, self.sheet.classes
        least = np.asarray(self.confidence)[found.category]
        rows = np.flatnonzero((found.image == number) & (found.score >= least))
        rows = rows[np.argsort(-found.score[rows], kind="stable")]
        corners = found.xywh[rows].copy()
        corners[:, 2:] += corners[:, :2]
        masks = None
        if found.masks is not None and len(rows):
            masks = np.stack([unpack_mask(found.masks[row]) for row in rows.tolist()])
        shown = Detections(
            corners.astype(np.float32),
            found.score[rows].astype(np.float32),
            found.category[rows],
            masks,
        )
        known = truth_detections(self.sheet.truth, self.sheet.image_ids[number], classes)
        file = self._file(number)
        return picture_of(file.name, read_image(file), known, shown, classes)


def _piece(box: Box, width: int, height: int) -> tuple[int, int, int, int]:
    """What is shown around a box: left, top, right, bottom within the image."""
    sides = box.x2 - box.x1, box.y2 - box.y1
    around = max(_AROUND * max(sides), (_LEAST_SIDE - min(sides)) / 2)
    left = min(max(int(box.x1 - around), 0), width - 1)
    top = min(max(int(box.y1 - around), 0), height - 1)
    right = min(max(int(box.x2 + around), left + 1), width)
    bottom = min(max(int(box.y2 + around), top + 1), height)
    return left, top, right, bottom


def _moved(box: Box, left: int, top: int) -> Box:
    return Box(box.x1 - left, box.y1 - top, box.x2 - left, box.y2 - top)


def _touch(a: Box, b: Box) -> bool:
    return a.x1 < b.x2 and b.x1 < a.x2 and a.y1 < b.y2 and b.y1 < a.y2
