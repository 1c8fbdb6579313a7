"""What runs on the nodes: an actor that holds one detector, and does one shard after the other."""

from __future__ import annotations

import pickle
import time
from collections import Counter, deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from detect_tl.core.detections import Detections
from detect_tl.core.errors import DataError, DetectTLError
from detect_tl.core.image_header import header_of
from detect_tl.core.images import Image, decode_image
from detect_tl.runtime.frames import Frame
from detect_tl.runtime.pipeline import Finder
from detect_tl.runtime.sinks import as_record
from detect_tl.runtime.sources import is_address
from detect_tl.runtime.tiles import TiledDetector
from detect_tl.scale.attempts import Watch, watch_of
from detect_tl.scale.fetch import read_bytes
from detect_tl.scale.images import name_of
from detect_tl.scale.model_files import PackedModel
from detect_tl.scale.records import FAILURES, KINDS, Record, as_json_lines
from detect_tl.scale.shards import Shard

MOST_PIXELS = 178_000_000
"""Of an image that is decoded, as `serve` has it: half a gigabyte for each core of a node."""

_READERS = 8
"""Threads that read ahead over a network, where waiting is most of the time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What is to be done with every shard.

    root: the folder that local images share. kinds: of `KINDS`, what results are saved as.
    tiles, tile_overlap: as for `TiledDetector`. threads: of a detector.
    """

    model: PackedModel
    root: str
    kinds: tuple[str, ...]
    tiles: int | None = None
    tile_overlap: float = 0.2
    threads: int = 1


@dataclass(slots=True)
class Answer:
    """What was found in a shard.

    files: by kind, the content of a file; of failures only where there are some.
    objects: detections by class name. seconds: of reading, detecting and writing.
    """

    number: int
    images: int
    failed: int = 0
    objects: Counter[str] = field(default_factory=Counter)
    files: dict[str, bytes] = field(default_factory=dict)
    seconds: float = 0.0


class ShardDetector:
    """One detector that does shards. Errors of the model or the node are raised by the first."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._detector = work.model.opened(work.threads)
        self._names = self._detector.spec.names
        self._find: Finder = self._detector
        if work.tiles is not None:
            self._find = TiledDetector(self._detector, work.tiles, work.tile_overlap)

    def __call__(self, shard: Shard, watch: Watch | None = None) -> Answer:
        """Detect on all images of a shard. watch: of one that has killed a process."""
        began = time.perf_counter()
        answer = Answer(shard.number, len(shard.places))
        records: list[Record] = []
        failures: list[Record] = []
        for index, (place, content) in enumerate(_contents(shard.places), shard.first):
            name = name_of(place, self._work.root)
            try:
                if watch is not None and watch(index):
                    raise DataError("the process that reads it dies")
                image = decoded(content)
                (found,) = self._find([image])
            except DataError as error:
                failures.append({"frame": index, "name": name, "error": error.message})
                continue
            records.append(as_record(Frame(image, index, 0.0, name), found, self._names))
            self._count(answer, found)
        answer.failed = len(failures)
        answer.files = {kind: KINDS[kind](records) for kind in self._work.kinds}
        if failures:
            answer.files[FAILURES] = as_json_lines(failures)
        answer.seconds = time.perf_counter() - began
        return answer

    def close(self) -> None:
        self._detector.close()

    def _count(self, answer: Answer, found: Detections) -> None:
        answer.objects.update(self._names[i] for i in found.class_id.tolist())


class RayWorker:
    """A `ShardDetector` as Ray Data calls it: tables in, tables out, with errors as content."""

    def __init__(self, work: Any, attempts: Any) -> None:
        import cv2
        import ray

        cv2.setNumThreads(1)  # a core has an actor; others are not there for it
        self._attempts = attempts
        self._error: DetectTLError | None = None
        try:
            self._detect = ShardDetector(ray.get(work))
        except DetectTLError as error:
            self._error = error

    def __call__(self, batch: Any) -> Any:
        import pyarrow as pa

        answers = [pickle.dumps(self._answer(content.as_py())) for content in batch.column(0)]
        return pa.table({"answer": pa.array(answers, pa.large_binary())})

    def _answer(self, content: bytes) -> Answer | DetectTLError:
        shard = pickle.loads(content)  # noqa: S301 - of a process of ours
        if isinstance(shard, DetectTLError):
            return shard
        if self._error is not None:
            return self._error
        try:
            answer = self._detect(shard, watch_of(self._attempts, shard.number))
        except DetectTLError as error:
            return error
        self._attempts.end.remote(shard.number)
        return answer


def _contents(places: list[str]) -> Iterator[tuple[str, bytes | DataError]]:
    """Every place with its bytes, or why they cannot be read."""
    if not any(map(is_address, places)):
        yield from ((place, _read(place)) for place in places)
        return
    with ThreadPoolExecutor(_READERS) as readers:
        left = iter(places)
        begun = ((place, readers.submit(_read, place)) for place in left)
        waiting = deque(islice(begun, 2 * _READERS))
        while waiting:
            place, future = waiting.popleft()
            yield place, future.result()
            waiting.extend(islice(begun, 1))


def _read(place: str) -> bytes | DataError:
    try:
        return read_bytes(place)
    except DataError as error:
        return error


def decoded(content: bytes | DataError) -> Image:
    """An image from its bytes; raise DataError when it is none, or one that is too large."""
    import cv2

    if isinstance(content, DataError):
        raise content
    _refuse_huge(content)
    try:
        return decode_image(content)
    except (cv2.error, MemoryError) as error:
        raise DataError(f"cannot be decoded: {str(error).strip() or 'no memory'}") from error


def _refuse_huge(content: bytes) -> None:
    """Raise DataError for an image that would fill the memory; what is no image fails later."""
    from PIL.Image import DecompressionBombError

    try:
        size = header_of(content).size
    except DataError as error:
        if isinstance(error.__cause__, DecompressionBombError):
            raise DataError(f"too large: more than {MOST_PIXELS} pixels") from error
        return
    if size.width * size.height > MOST_PIXELS:
        raise DataError(f"too large: {size.width}x{size.height} pixels")
