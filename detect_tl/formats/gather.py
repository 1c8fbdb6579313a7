"""What every reader does with an image: find it, open its header, keep it or count it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from detect_tl.core.dataset import CategoryIndex, Dataset, Instance, Sample, renumber
from detect_tl.core.errors import DataError
from detect_tl.core.findings import Report
from detect_tl.core.geometry import Box, Size
from detect_tl.core.image_header import ImageHeader
from detect_tl.core.words import counted
from detect_tl.formats.frame import Frame, frame_of
from detect_tl.formats.headers import HeadersAhead
from detect_tl.formats.source import Source

_FORGIVEN = {
    "unicode": "by ignoring how its accents are written",
    "encoding": "by decoding its %-signs",
    "case": "by ignoring upper and lower case",
    "extension": "by its name without the extension",
    "tool": "by ignoring what Label Studio or Roboflow adds to a name",
    "number": "by its name without the trailing number",
    "left-over": "by the beginning of its name, which no other file shares",
}


class UndeclaredClassError(ValueError):
    """An object of a class that its source does not declare; a finding of its own kind."""

    code = "class.unknown"


class Gatherer:
    """Collects the samples of one reading and counts what happens to them on the way."""

    def __init__(self, source: Source, report: Report) -> None:
        self.source = source
        self.report = report
        self._samples: dict[Path, Sample] = {}
        self._headers: dict[Path, ImageHeader | None] = {}
        self._ahead = HeadersAhead(source.images.images)

    def find(
        self,
        names: Sequence[str],
        annotation: Path,
        objects: int,
        *,
        near: Sequence[Path] = (),
        hints: Sequence[str] = (),
    ) -> Path | None:
        """Find the image that `annotation` means; report it, and its objects as lost, if absent."""
        match = self.source.images.find(names, near=near, hints=hints)
        if match.path is None:
            self.lose_image(names[0] if names else "", annotation, objects, match.rivals)
        elif match.forgiven:
            self.forgive(match.path, names[0], annotation, match.forgiven)
        return match.path

    def forgive(self, image: Path, name: str, annotation: Path, how: str) -> None:
        """Count an image that does not carry the name which the annotation gives it."""
        self.report.changed[f"images-matched-by-{how}"] += 1
        self.report.add(
            "image.name-mismatch",
            "warning",
            f"names {name!r}; matched with {self.source.short(image)} {_FORGIVEN[how]}",
            annotation,
        )

    def lose_image(
        self, name: str, annotation: Path, objects: int, rivals: Sequence[Path] = ()
    ) -> None:
        """Count an image that cannot be used, and the objects on it."""
        self.report.lost["images"] += 1
        if objects:
            self.report.lost["objects-without-image"] += objects
        if rivals:
            several = ", ".join(self.source.short(p) for p in rivals[:3])
            text = f"image {name!r} fits several files equally well: {several}"
            self.report.add("image.ambiguous", "error", f"{text}; {fate_of(objects)}", annotation)
        else:
            text = f"image {name!r} is missing; {fate_of(objects)}"
            self.report.add("image.missing", "error", text, annotation)

    def header(self, image: Path, objects: int = 0) -> ImageHeader | None:
        """What the ends of the file tell; None, reported once, when it is not readable."""
        if image not in self._headers:
            try:
                self._headers[image] = self._ahead.header(image)
            except DataError as error:
                self._headers[image] = None
                self.report.lost["images"] += 1
                self.report.add("image.unreadable", "error", error.message, image)
        if self._headers[image] is None and objects:
            self.report.lost["objects-without-image"] += objects
        return self._headers[image]

    def frame(
        self, image: Path, declared: Size | None, extent: Box | None, annotation: Path, objects: int
    ) -> Frame | None:
        """Decide how the coordinates lie on the image, and say so where they must be moved."""
        header = self.header(image, objects)
        if header is None:
            return None
        frame = frame_of((header.size, header.orientation), declared, extent)
        if frame.note:
            self._say(frame, image, annotation, objects)
        return frame

    def _say(self, frame: Frame, image: Path, annotation: Path, objects: int) -> None:
        w, h = frame.declared or frame.size
        sizes = f"made for {w}x{h}, {image.name} is {frame.size.width}x{frame.size.height}"
        if frame.note == "turned":
            self.report.changed["objects-turned-by-exif"] += objects
            text = f"{sizes} with its EXIF orientation applied; coordinates were turned with it"
            self.report.add("image.exif-rotated", "info", text, annotation, image=image)
        elif frame.note == "scaled":
            self.report.changed["objects-scaled-to-image"] += objects
            text = f"{sizes}; coordinates were scaled with it"
            self.report.add("image.size-mismatch", "warning", text, annotation, image=image)
        else:
            text = f"{sizes}; coordinates were kept as they are"
            self.report.add("image.size-mismatch", "warning", text, annotation, image=image)

    def add(self, sample: Sample) -> None:
        """Keep a sample; one that describes an image again is merged with the first."""
        if sample.header is None and self._headers.get(sample.image) is not None:
            sample = replace(sample, header=self._headers[sample.image])
        first = self._samples.get(sample.image)
        self._samples[sample.image] = sample if first is None else self._merge(first, sample)

    def _merge(self, first: Sample, again: Sample) -> Sample:
        name = self.source.short(first.image)
        split = first.split or again.split
        if first.split and again.split and first.split != again.split:
            text = f"{name} is in both {first.split} and {again.split}; kept in {first.split}"
            self.report.add("split.overlap", "warning", text, again.annotation)
        if first.instances == again.instances:
            self.report.changed["repeated-annotations-merged"] += 1
            return replace(first, split=split)
        self.report.changed["images-described-twice"] += 1
        self.report.add(
            "image.described-twice",
            "warning",
            f"{name} was already described by {first.annotation}; the objects of both are kept",
            again.annotation,
        )
        known = list(first.instances)
        added = [item for item in again.instances if item not in known]
        return replace(first, split=split, instances=(*first.instances, *added))

    def add_backgrounds(
        self, images: Iterable[Path] | None = None, splits: Mapping[Path, str] | None = None
    ) -> None:
        """Keep the images that no annotation describes: they teach what is not an object.

        splits: of the images that a list of the source names. Any other has to lie beside images
        that are described: a folder in which none is has not been annotated.
        """
        annotated = {image.parent for image in self._samples}
        apart: list[Path] = []
        for image in self.source.images.images if images is None else images:
            if self.met(image):
                continue
            if image.parent not in annotated and image not in (splits or {}):
                apart.append(image)
                continue
            header = self.header(image)
            if header is not None:
                split = (splits or {}).get(image) or self.source.split_of(image)
                self._samples[image] = Sample(image, header.size, split=split, header=header)
        if apart:
            self.report.lost["images-not-annotated"] += len(apart)
            text = f"{len(apart)} images lie in folders without any annotated one, such as"
            text = f"{text} {self.source.short(apart[0])}; left out"
            self.report.add("image.unlisted", "info", text)

    @property
    def described(self) -> set[Path]:
        """Images that have a sample so far."""
        return set(self._samples)

    def met(self, image: Path) -> bool:
        """Whether an image has been kept, or found to be unreadable."""
        return image in self._samples or image in self._headers

    def dataset(self, index: CategoryIndex, order: Sequence[str] | None = None) -> Dataset:
        """The data set, with its categories in `order` (those of the index when None)."""
        samples = self._known()
        dataset = Dataset(index.categories(), samples)
        if order is not None:
            dataset = renumber(dataset, order)
        self.report.read["images"] += len(samples)
        self.report.read["objects"] += sum(len(s.instances) for s in samples)
        self.report.read["images-without-objects"] += sum(not s.instances for s in samples)
        return dataset

    def _known(self) -> tuple[Sample, ...]:
        """The samples without those of whose own annotation nothing could be read: they would pass
        for backgrounds, and nobody knows what is on them."""
        samples = tuple(self._samples.values())
        told = {f.path for f in self.report.findings if f.severity == "error" and ".bad-" in f.code}
        bare = [s for s in samples if not s.instances and s.annotation in told]
        if not bare:
            return samples
        shared = Counter(s.annotation for s in samples)
        unknown = {s.image for s in bare if shared[s.annotation] == 1}
        for sample in bare:
            if sample.image in unknown:
                self.report.lost["images"] += 1
                name = self.source.short(sample.image)
                text = f"nothing in it could be read: {name} is left out, not taken for background"
                self.report.add("annotation.unreadable", "error", text, sample.annotation)
        return tuple(s for s in samples if s.image not in unknown)


def alphabetical(names: Iterable[str]) -> list[str]:
    """The order of classes for a source that declares none: it must not hang on file order."""
    return sorted(names, key=lambda name: (name.casefold(), name))


def fate_of(objects: int) -> str:
    """What becomes of the objects of an image that cannot be used."""
    if not objects:
        return "there is no object on it"
    return f"its {counted(objects, 'object')} {'is' if objects == 1 else 'are'} lost"


def extent_of(boxes: Iterable[Box]) -> Box | None:
    """The smallest box around all of `boxes`; None when there are none."""
    items = list(boxes)
    if not items:
        return None
    x1, y1, x2, y2 = zip(*items, strict=True)
    return Box(min(x1), min(y1), max(x2), max(y2))


def placed(instance: Instance, frame: Frame) -> Instance:
    """`instance` with its coordinates on the upright image."""
    if not frame.moves:
        return instance
    return replace(instance, box=frame.box(instance.box), mask=frame.mask(instance.mask))
