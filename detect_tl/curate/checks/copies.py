"""Checks of images that are there more than once, within a split or across."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterator, Sequence

from detect_tl.core.dataset import Sample
from detect_tl.core.findings import Finding
from detect_tl.curate.checks.base import Need, Note, check
from detect_tl.curate.checks.limits import Limits
from detect_tl.curate.checks.snapshot import Snapshot

_MOST_NAMES = 4
# "cat_jpg.rf.<hash>.jpg" is one of the pictures that were made of cat.jpg.
_ROBOFLOW = re.compile(r"(.+)\.rf\.[0-9A-Za-z]{16,64}\.\w+")
_SAME = {
    "image.duplicate": "the same image as",
    "split.leak": "the same image is in several splits",
}


@check(
    "image.duplicate",
    "warning",
    "It counts more than the others, in training and in the scores.",
    need=Need.CONTENTS,
    whole=True,
)
def duplicate(snapshot: Snapshot, limits: Limits) -> Iterator[Note]:
    """The same image, byte for byte, more than once in one split."""
    del limits
    for group in _groups(snapshot.samples, snapshot.contents):
        if not _crosses(group):
            yield _note(_SAME["image.duplicate"], group)


@check(
    "split.leak",
    "error",
    "The model is tested on what it was trained on; scores are too good.",
    need=Need.CONTENTS,
    whole=True,
)
def leak(snapshot: Snapshot, limits: Limits) -> Iterator[Note]:
    """The same image, byte for byte, in several splits."""
    del limits
    for group in _groups(snapshot.samples, snapshot.contents):
        if _crosses(group):
            yield _leak_note(_SAME["split.leak"], group)


@check(
    "image.near-duplicate",
    "info",
    "They teach little more than one of them; keep them in one split.",
    "alike",
    need=Need.CONTENTS | Need.PIXELS,
    whole=True,
)
def near_duplicate(snapshot: Snapshot, limits: Limits) -> Iterator[Note]:
    """Images of one split that look alike: copies, augmented copies, frames of one video."""
    for group in _alike_groups(snapshot, limits):
        if not _crosses(group):
            yield _note("looks like", group)


@check(
    "split.near-leak",
    "warning",
    "The model is tested on nearly what it was trained on; scores may be too good.",
    "alike",
    need=Need.CONTENTS | Need.PIXELS,
    whole=True,
)
def near_leak(snapshot: Snapshot, limits: Limits) -> Iterator[Note]:
    """Images of several splits that look alike."""
    for group in _alike_groups(snapshot, limits):
        if _crosses(group):
            yield _leak_note("images in several splits look alike", group)


@check(
    "split.same-original",
    "warning",
    "The model is tested on pictures that it was trained on in another shape; scores are too good.",
    whole=True,
)
def same_original(snapshot: Snapshot, limits: Limits) -> Iterator[Note]:
    """Images of several splits that Roboflow made of one original, by turning, cutting, tinting."""
    del limits
    there = [sample for sample in snapshot.samples if _ROBOFLOW.fullmatch(sample.image.name)]
    originals = [_ROBOFLOW.sub(r"\1", sample.image.name) for sample in there]
    for group in _groups(there, originals):
        if _crosses(group):
            yield _leak_note("several splits hold images of one original", group)


@check(
    "split.unlisted-leak",
    "warning",
    "Testing on that folder would test on what the model was trained on.",
    need=Need.CONTENTS,
    whole=True,
)
def unlisted_leak(snapshot: Snapshot, limits: Limits) -> Iterator[Note]:
    """An image in the folder of a split, without annotation, that another split holds too."""
    del limits
    if not snapshot.strays:
        return
    listed: dict[Hashable, Sample] = {}
    for sample, content in zip(snapshot.samples, snapshot.contents, strict=True):
        listed.setdefault(content, sample)
    for image, split, content in snapshot.strays:
        same = listed.get(content)
        if same is not None and _split(same) != split:
            text = (
                f"is in the folder of {split}, and the same as {same.image.name} in {_split(same)}"
            )
            yield Note(text, image, image)


def repeated(samples: Sequence[Sample], contents: Sequence[Hashable]) -> Iterator[Finding]:
    """Findings for the images that are equal, as the checks name them.

    contents: a value for each sample, equal for equal images.
    """
    for group in _groups(samples, contents):
        found, note = (leak, _leak_note) if _crosses(group) else (duplicate, _note)
        text, path, image, _ = note(_SAME[found.id], group)
        yield Finding(found.id, found.severity, text, path, None, image)


def _alike_groups(snapshot: Snapshot, limits: Limits) -> Iterator[list[Sample]]:
    """Groups of images that look alike and are not all equal."""
    for places in _places(snapshot.looks(limits.alike)):
        if len({snapshot.contents[place] for place in places}) > 1:
            yield [snapshot.samples[place] for place in places]


def _groups(samples: Sequence[Sample], keys: Sequence[Hashable]) -> Iterator[list[Sample]]:
    """Samples that share a key, in the order of the first of each."""
    return ([samples[place] for place in places] for places in _places(keys))


def _places(keys: Sequence[Hashable]) -> Iterator[list[int]]:
    """Places that share a key, in the order of the first of each."""
    counts = Counter(keys)
    groups: dict[Hashable, list[int]] = defaultdict(list)
    for place, key in enumerate(keys):
        if counts[key] > 1:
            groups[key].append(place)
    return iter(groups.values())


def _split(sample: Sample) -> str:
    return sample.split or "train"  # where what the source leaves open goes


def _crosses(group: Sequence[Sample]) -> bool:
    return len({_split(sample) for sample in group}) > 1


def _note(words: str, group: Sequence[Sample]) -> Note:
    return Note(f"{words} {_listed(_names(group)[1:])}", group[0].image, group[0].image)


def _leak_note(words: str, group: Sequence[Sample]) -> Note:
    """A note that names one image of every split before the others."""
    places = [
        f"{name} in {_split(sample)}" for name, sample in zip(_names(group), group, strict=True)
    ]
    splits = [_split(sample) for sample in group]
    again = [split in splits[:place] for place, split in enumerate(splits)]
    order = sorted(range(len(group)), key=again.__getitem__)
    text = _listed([places[place] for place in order])
    return Note(f"{words} ({text})", group[0].image, group[0].image)


def _names(group: Sequence[Sample]) -> list[str]:
    """File names, with their folders where two are called alike."""
    names = [sample.image.name for sample in group]
    if len(set(names)) == len(names):
        return names
    return [f"{sample.image.parent.name}/{sample.image.name}" for sample in group]


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _MOST_NAMES
    words = ", ".join(names[:_MOST_NAMES])
    return f"{words} and {more} more" if more > 0 else words


CHECKS = (duplicate, leak, near_duplicate, near_leak, same_original, unlisted_leak)
