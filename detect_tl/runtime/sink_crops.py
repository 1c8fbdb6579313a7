"""Every detection cut out, in a folder for its class."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import PurePosixPath

import numpy as np

from detect_tl.core.detections import NO_TRACK, Detections
from detect_tl.core.files import disk_errors
from detect_tl.core.images import write_image
from detect_tl.runtime.frames import Frame
from detect_tl.runtime.sinks import Place, Sink, Write, picture_name


@contextmanager
def crops(place: Place) -> Iterator[Write]:
    """Write `crops/<class>/<image>-<number>.jpg`: the part of the image inside the box.

    The number is that of the detection in its frame, from 1, the best first; with tracking,
    `id` and the number of the object come before it.
    """
    base = place.file("crops")
    base.mkdir(parents=True, exist_ok=True)
    folders = folder_names(place.names)

    def write(frame: Frame, found: Detections) -> bool:
        stem = PurePosixPath(picture_name(frame, place.source)).with_suffix("")
        height, width = frame.image.shape[:2]
        low = np.floor(found.xyxy).clip(0, (width - 1, height - 1) * 2).astype(int)
        high = np.ceil(found.xyxy).astype(int)
        for row, class_id in enumerate(found.class_id.tolist()):
            x1, y1, x2, y2 = *low[row, :2], *high[row, 2:]
            part = frame.image[y1 : max(y2, y1 + 1), x1 : max(x2, x1 + 1)]
            number = NO_TRACK if found.track_id is None else int(found.track_id[row])
            track = "" if number == NO_TRACK else f"-id{number}"
            target = base / folders[class_id] / f"{stem}{track}-{row + 1}.jpg"
            with disk_errors(target):
                target.parent.mkdir(parents=True, exist_ok=True)
                write_image(target, part)
        return True

    yield write


def folder_names(names: Sequence[str]) -> list[str]:
    """A folder name for every class: its own, unless a file system would stumble over it.

    Two classes never share a folder, not even where upper and lower case are alike.
    """
    used: set[str] = set()
    folders = []
    for index, name in enumerate(names):
        folder = re.sub(r'[\x00-\x1f<>:"/\\|?*]+', "_", name).strip(" .")[:100] or f"class-{index}"
        folders.append(f"{folder}-{index}" if folder.casefold() in used else folder)
        used.add(folders[-1].casefold())
    return folders


CROPS = Sink("every detection cut out, in a folder for its class", crops)
