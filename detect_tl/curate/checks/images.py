"""Checks of image files: there, whole, and what they claim to be."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from detect_tl.core.dataset import Sample
from detect_tl.core.image_header import SIDEWAYS
from detect_tl.core.words import counted
from detect_tl.curate.checks.base import Need, Note, check
from detect_tl.curate.checks.image_facts import Damage, ImageFacts
from detect_tl.curate.checks.limits import Limits
from detect_tl.curate.checks.snapshot import Snapshot
from detect_tl.curate.rules import SUFFIXES, only_fits_as_stored

_GREY = frozenset({"1", "L", "LA"})


@check(
    "image.missing",
    "error",
    "Training and evaluation leave the image out, with all objects on it.",
    need=Need.FILES,
)
def missing(snapshot: Snapshot, limits: Limits) -> Iterator[Note]:
    """An annotation whose image is not there."""
    del limits
    yield from _damaged(snapshot, "missing")


@check(
    "image.unreadable",
    "error",
    "Training and evaluation leave the image out, with all objects on it.",
    need=Need.FILES,
)
def unreadable(snapshot: Snapshot, limits: Limits) -> Iterator[Note]:
    """A file that is no image, whatever its name says."""
    del limits
    yield from _damaged(snapshot, "unreadable")


@check(
    "image.truncated",
    "error",
    "Its lower part is grey or left from another image; objects there are noise.",
    need=Need.FILES,
)
def truncated(snapshot: Snapshot, limits: Limits) -> Iterator[Note]:
    """An image file that was cut off or damaged."""
    del limits
    yield from _damaged(snapshot, "truncated")


@check(
    "image.extension-lies",
    "warning",
    "Programs that go by the name refuse the file or read it wrongly.",
    need=Need.FILES,
)
def extension_lies(snapshot: Snapshot, limits: Limits) -> Iterator[Note]:
    """A file whose extension names another format than its content."""
    del limits
    for sample, facts in _sound(snapshot):
        known = SUFFIXES.get(facts.format)
        if known is not None and sample.image.suffix.lower() not in known:
            text = f"is a {facts.format} file, called {sample.image.suffix or 'nothing'}"
            yield _note(text, sample)


@check(
    "image.exif-upright",
    "info",
    "Harmless here; a program that ignores EXIF shows the objects in the wrong place.",
    need=Need.FILES,
)
def exif_upright(snapshot: Snapshot, limits: Limits) -> Iterator[Note]:
    """An image stored turned, with its objects drawn on the upright picture."""
    for place, facts in enumerate(snapshot.facts):
        sample = snapshot.samples[place]
        if facts.orientation == 1 or sample.image in snapshot.turned:
            continue
        if not _on_stored_frame(snapshot, place, limits.border):
            text = f"stored turned (EXIF orientation {facts.orientation}), annotated upright"
            yield _note(text, sample)


@check(
    "image.exif-frame",
    "error",
    "Boxes lie beside their objects, in training and in evaluation.",
    "border",
    need=Need.FILES,
)
def exif_frame(snapshot: Snapshot, limits: Limits) -> Iterator[Note]:
    """Objects that leave the upright picture, and fit the picture as it is stored."""
    for place, facts in enumerate(snapshot.facts):
        if _on_stored_frame(snapshot, place, limits.border):
            text = (
                f"stored sideways (EXIF orientation {facts.orientation}), and its objects "
                "only fit the picture as it is stored"
            )
            yield _note(text, snapshot.samples[place])


def _on_stored_frame(snapshot: Snapshot, place: int, border: float) -> bool:
    rows = slice(*snapshot.starts[place : place + 2])
    if snapshot.facts[place].orientation not in SIDEWAYS or not len(snapshot.boxes[rows]):
        return False
    right, bottom = snapshot.boxes[rows, 2:].max(axis=0).tolist()
    return only_fits_as_stored(right, bottom, snapshot.samples[place].size, border)


@check(
    "image.wrong-size",
    "error",
    "Boxes lie beside their objects, in training and in evaluation.",
    need=Need.FILES,
)
def wrong_size(snapshot: Snapshot, limits: Limits) -> Iterator[Note]:
    """An image of another size than the data set says."""
    del limits
    for sample, facts in _sound(snapshot):
        if facts.size is not None and facts.size != sample.size:
            w, h = sample.size
            text = f"described as {w}x{h}, the file is {facts.size.width}x{facts.size.height}"
            yield _note(text, sample)


@check(
    "image.too-small",
    "warning",
    "Ultralytics leaves the image out, with all objects on it.",
    "least_image",
)
def too_small(snapshot: Snapshot, limits: Limits) -> Iterator[Note]:
    """An image that training leaves out because it is too small."""
    for place in np.flatnonzero(
        snapshot.sizes.min(axis=1, initial=np.inf) < limits.least_image
    ).tolist():
        w, h = snapshot.samples[place].size
        yield _note(f"{w}x{h} pixels", snapshot.samples[place])


@check(
    "image.aspect",
    "info",
    "Most of the square input is padding, and objects shrink with the image; cut it into tiles.",
    "aspect",
)
def aspect(snapshot: Snapshot, limits: Limits) -> Iterator[Note]:
    """An image that is very long or very tall."""
    sides = np.sort(snapshot.sizes, axis=1)
    for place in np.flatnonzero(
        (sides[:, 1] > limits.aspect * sides[:, 0]) & (sides[:, 0] > 0)
    ).tolist():
        w, h = snapshot.samples[place].size
        yield _note(f"{w}x{h} pixels, {max(w, h) / min(w, h):.1f} to 1", snapshot.samples[place])


@check(
    "image.reduced",
    "info",
    "Small objects vanish when it is scaled down; cut it into tiles or raise --imgsz.",
    "imgsz",
    "reduction",
)
def reduced(snapshot: Snapshot, limits: Limits) -> Iterator[Note]:
    """An image far larger than the input of the model."""
    most = limits.reduction * limits.imgsz
    for place in np.flatnonzero(snapshot.sizes.max(axis=1, initial=0) > most).tolist():
        w, h = snapshot.samples[place].size
        factor = max(w, h) / limits.imgsz
        yield _note(f"{w}x{h} pixels become {factor:.0f} times smaller", snapshot.samples[place])


@check(
    "image.sizes-vary",
    "info",
    "One kind of object is met at very different scales, unless all images are alike zoomed.",
    "size_spread",
    whole=True,
)
def sizes_vary(snapshot: Snapshot, limits: Limits) -> Iterator[Note]:
    """Images of very different sizes in one data set."""
    longest = snapshot.sizes.max(axis=1, initial=0)
    if not len(longest) or longest.min() <= 0:
        return
    small, large = (snapshot.samples[int(k)] for k in (longest.argmin(), longest.argmax()))
    if longest.max() > limits.size_spread * longest.min():
        a, b = (f"{s.image.name} is {s.size.width}x{s.size.height}" for s in (small, large))
        yield Note(f"{a}, {b}")


@check(
    "image.grey",
    "info",
    "A model learns the colours of the other images, and misses objects on the grey ones.",
    need=Need.FILES,
    whole=True,
)
def grey(snapshot: Snapshot, limits: Limits) -> Iterator[Note]:
    """Grey images among coloured ones."""
    del limits
    found = [sample for sample, facts in _sound(snapshot) if facts.mode in _GREY]
    if found and len(found) < len(snapshot.samples):
        for sample in found:
            yield _note("is grey, others are coloured", sample)


@check(
    "image.transparent",
    "info",
    "Transparency is dropped, and what it hid becomes visible.",
    need=Need.FILES,
)
def transparent(snapshot: Snapshot, limits: Limits) -> Iterator[Note]:
    """Images with an alpha channel."""
    del limits
    yield from _of_mode(snapshot, {"RGBA": "has an alpha channel", "LA": "has an alpha channel"})


@check(
    "image.deep",
    "warning",
    "Training reads 8 bits: faint structures of the lower bits are lost.",
    need=Need.FILES,
)
def deep(snapshot: Snapshot, limits: Limits) -> Iterator[Note]:
    """Images of more than 8 bits for a colour."""
    del limits
    deeper = {facts.mode for facts in snapshot.facts if facts.mode.startswith(("I", "F"))}
    yield from _of_mode(snapshot, {mode: f"has deep pixels ({mode})" for mode in deeper})


@check(
    "image.cmyk",
    "warning",
    "Programs turn print colours into screen colours differently: a model meets other ones.",
    need=Need.FILES,
)
def cmyk(snapshot: Snapshot, limits: Limits) -> Iterator[Note]:
    """Images in the colours of a printer."""
    del limits
    yield from _of_mode(snapshot, {"CMYK": "is CMYK", "YCCK": "is YCCK"})


def _of_mode(snapshot: Snapshot, words: dict[str, str]) -> Iterator[Note]:
    for sample, facts in _sound(snapshot):
        if facts.mode in words:
            yield _note(words[facts.mode], sample)


def _damaged(snapshot: Snapshot, kind: Damage) -> Iterator[Note]:
    for sample, facts in zip(snapshot.samples, snapshot.facts, strict=True):
        if facts.damage == kind:
            yield _note(f"{facts.reason}; {counted(len(sample.instances), 'object')} on it", sample)


def _sound(snapshot: Snapshot) -> Iterator[tuple[Sample, ImageFacts]]:
    for sample, facts in zip(snapshot.samples, snapshot.facts, strict=True):
        if not facts.damage:
            yield sample, facts


def _note(text: str, sample: Sample) -> Note:
    return Note(text, sample.image, sample.image)


CHECKS = (
    missing,
    unreadable,
    truncated,
    extension_lies,
    exif_upright,
    exif_frame,
    wrong_size,
    too_small,
    aspect,
    reduced,
    sizes_vary,
    grey,
    transparent,
    deep,
    cmyk,
)
