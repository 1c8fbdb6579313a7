"""The detector behind the service: a few threads that serve all clients in turn."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import orjson
from starlette.exceptions import HTTPException

from detect_tl.core.detections import Detections
from detect_tl.core.errors import UsageError
from detect_tl.core.images import encode_image
from detect_tl.runtime.detector import Detector, class_ids
from detect_tl.runtime.draw import class_colour, draw_detections
from detect_tl.runtime.frames import Frame
from detect_tl.runtime.postprocess import decode
from detect_tl.runtime.sinks import as_record
from detect_tl.web.metrics import Metrics
from detect_tl.web.pictures import read_picture
from detect_tl.web.settings import Settings

MOST_DETECTIONS = 1000
"""Objects in a picture that anybody can ask for."""

# One thread decodes a picture while the other one's model runs on all cores.
_WORKERS = 2
# Pixels of all masks of one picture together, a byte each.
_MASK_BYTES = 300_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """How one client wants its pictures looked at; None is what the service was started with.

    classes: ids to keep. masks: whether to give them, where the model has any.
    annotated: give the picture with everything drawn on it, as JPEG, instead of JSON.
    """

    conf: float | None = None
    iou: float | None = None
    classes: tuple[int, ...] | None = None
    max_det: int | None = None
    masks: bool = True
    annotated: bool = False


class Engine:
    """Detects for many clients at once.

    The queue of its threads is first come, first served; every client has at most one picture in
    it and there are only so many clients, so it is bounded, and nobody waits for more than one
    picture of each of the others.
    """

    def __init__(self, detector: Detector, settings: Settings, metrics: Metrics) -> None:
        self._base = detector
        self._settings = settings
        self._metrics = metrics
        self._pool = ThreadPoolExecutor(_WORKERS, thread_name_prefix="detect")

    def warm_up(self) -> None:
        """Run the model once, so that the first client does not wait for what is done only once.

        Raises WeightsError when its outputs cannot be those of a detector.
        """
        self._base([np.zeros((*self._base.imgsz, 3), np.uint8)])

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)

    def wish(self, *, classes: list[str | int] | None = None, **values: Any) -> Wish:
        """A wish from classes by name or number; raise HTTPException 422 for an unknown one."""
        names = self._base.spec.names
        try:
            ids = None if classes is None else tuple(class_ids(names, classes))
        except UsageError as error:
            raise HTTPException(422, f"{error.message}. {error.hint}") from error
        return Wish(classes=ids, **values)

    async def answer(
        self, data: bytes, wish: Wish, *, name: str = "image", index: int = 0
    ) -> bytes:
        """Detect on a picture as it was sent: a JSON record as `as_record` gives it, or a JPEG.

        Raises HTTPException as `read_picture` does, and 422 for masks that would be too large.
        """
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, self._answer, data, wish, name, index)

    def describe(self) -> dict[str, Any]:
        """What a client may want to know of the model and of the service."""
        base, limits = self._base, self._settings.limits
        names = base.spec.names
        conf = base.conf
        return {
            "name": self._settings.name,
            "task": base.spec.task,
            "imgsz": list(base.imgsz),
            "dynamic": base.spec.dynamic,
            "classes": [
                {"id": index, "name": name, "colour": _web_colour(index)}
                for index, name in enumerate(names)
            ],
            "conf": conf if isinstance(conf, float | int) else dict(zip(names, conf, strict=True)),
            "iou": base.iou,
            "max_det": base.max_det,
            "max_bytes": limits.max_bytes,
            "max_pixels": limits.max_pixels,
        }

    def _answer(self, data: bytes, wish: Wish, name: str, index: int) -> bytes:
        image = read_picture(data, self._settings.limits.max_pixels)
        frame = Frame(image, index, 0.0, name)
        found = self._detect(frame, wish)
        self._metrics.frames.inc()
        names = self._base.spec.names
        if wish.annotated:
            draw_detections(image, found, names)
            return encode_image(image, ".jpg")
        return orjson.dumps(as_record(frame, found, names))

    def _detect(self, frame: Frame, wish: Wish) -> Detections:
        detector = self._tuned(wish)
        batch, letterboxes = detector.prepare([frame.image])
        started = time.perf_counter()
        outputs = detector.backend.infer(batch)
        self._metrics.inference.observe(time.perf_counter() - started)

        def boxes() -> Detections:
            spec = replace(detector.spec, task="detect")  # as if there were no masks
            return decode(
                outputs,
                spec,
                letterboxes,
                conf=detector.conf,
                iou=detector.iou,
                max_det=detector.max_det,
                classes=detector.classes,
            )[0]

        if detector.spec.task != "segment":
            return detector.read(outputs, letterboxes)[0]
        if not wish.masks:
            return boxes()
        _check_masks(frame, detector.max_det, lambda: len(boxes()))
        return detector.read(outputs, letterboxes)[0]

    def _tuned(self, wish: Wish) -> Detector:
        """The detector of the service with the settings of one client."""
        base = self._base
        conf: Any = wish.conf
        if conf is None:
            conf = base.conf
            if not isinstance(conf, float | int):
                conf = dict(zip(base.spec.names, conf, strict=True))
        return Detector(
            base.backend,
            conf=conf,
            iou=base.iou if wish.iou is None else wish.iou,
            max_det=base.max_det if wish.max_det is None else wish.max_det,
            classes=base.classes if wish.classes is None else wish.classes,
            imgsz=base.imgsz,
            rect=base.rect,
        )


def _check_masks(frame: Frame, most: int, count: Callable[[], int]) -> None:
    """Refuse a picture whose masks would not fit; `count` is called only where they might not."""
    pixels = frame.size.width * frame.size.height
    if most * pixels <= _MASK_BYTES:
        return
    objects = count()
    if objects * pixels > _MASK_BYTES:
        raise HTTPException(
            422,
            f"The masks of {objects} objects on {pixels} pixels are too much; "
            "send a smaller picture, or ask for masks=false.",
        )


def _web_colour(class_id: int) -> str:
    blue, green, red = class_colour(class_id)
    return f"#{red:02x}{green:02x}{blue:02x}"
