"""Detections as annotations, with their pictures: a data set to be corrected and trained on.

The picture of a video frame is a JPEG of it, that of a single image a copy of its file.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from detect_tl.core.dataset import Instance, Json, Sample
from detect_tl.core.detections import NO_TRACK, Detections
from detect_tl.core.files import disk_errors, place_file, write_json
from detect_tl.core.findings import Report
from detect_tl.core.geometry import Box, bitmap_to_rle
from detect_tl.core.images import write_image
from detect_tl.formats.labelme.write import document, labels_text
from detect_tl.formats.yolo.write import data_yaml, label_rows
from detect_tl.runtime.frames import Frame
from detect_tl.runtime.sinks import Place, Sink, Write, picture_name


@contextmanager
def yolo(place: Place) -> Iterator[Write]:
    """Write `yolo/data.yaml`, `yolo/images` and `yolo/labels` with a text file for every picture.

    A row is a class and a box as fractions of the picture, or an outline where the model has masks;
    it has no score, which trainers would refuse.
    """
    base = place.file("yolo")
    (base / "labels").mkdir(parents=True)
    (base / "data.yaml").write_text(data_yaml(place.names, {"train": "images"}), "utf-8")

    def label(name: PurePosixPath, sample: Sample) -> None:
        masked = any(item.mask is not None for item in sample.instances)
        rows = label_rows(
            sample.instances, sample.size, "segment" if masked else "detect", Counter()
        )
        path = (base / "labels" / name).with_suffix(".txt")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(rows)

    yield _Writer(place, base / "images", label)


@contextmanager
def labelme(place: Place) -> Iterator[Write]:
    """Write `labelme/` with pictures, a JSON file beside each, and labels.txt.

    Masks are bitmaps, exact to the pixel; score and track id are attributes.
    """
    base = place.file("labelme")
    base.mkdir(parents=True)
    (base / "labels.txt").write_text(labels_text(place.names), "utf-8")

    def label(name: PurePosixPath, sample: Sample) -> None:
        path = (base / name).with_suffix(".json")
        write_json(path, document(sample, place.names, path.parent, Report()))

    yield _Writer(place, base, label)


@dataclass(slots=True)
class _Writer:
    """Writes a picture and its labels for every frame. images: the folder of the pictures."""

    place: Place
    images: Path
    label: Callable[[PurePosixPath, Sample], None]
    used: set[str] = field(default_factory=set)

    def __call__(self, frame: Frame, found: Detections) -> bool:
        still = frame.path if self.place.source.kind == "images" else None
        name = PurePosixPath(picture_name(frame, self.place.source))
        if still:
            name = self._unused(PurePosixPath(frame.name))
        path = self.images / name
        with disk_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            if still:
                place_file(still, path)
            else:
                write_image(path, frame.image)
            self.label(name, Sample(path, frame.size, tuple(instances_of(found))))
        return True

    def _unused(self, name: PurePosixPath) -> PurePosixPath:
        """The name itself unless its labels would be those of another: a.jpg beside a.png."""
        number, tried = 1, name
        while str(tried.with_suffix("")).casefold() in self.used:
            number += 1
            tried = name.with_name(f"{name.stem}-{number}{name.suffix}")
        self.used.add(str(tried.with_suffix("")).casefold())
        return tried


def instances_of(found: Detections) -> Iterator[Instance]:
    """Detections as annotated objects, with `score` and `track_id` as attributes."""
    for row in range(len(found)):
        attributes: dict[str, Json] = {"score": round(float(found.score[row]), 5)}
        if found.track_id is not None and found.track_id[row] != NO_TRACK:
            attributes["track_id"] = int(found.track_id[row])
        yield Instance(
            int(found.class_id[row]),
            Box(*found.xyxy[row].tolist()),
            None if found.mask is None else bitmap_to_rle(found.mask[row]),
            attributes=attributes,
        )


YOLO = Sink("a data set of YOLO labels and pictures", yolo)
LABELME = Sink("pictures with a LabelMe file each", labelme)
