"""Which images belong together and must not be divided: one folder, one video, one patient."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path

from detect_tl.core.dataset import Dataset
from detect_tl.core.errors import UsageError
from detect_tl.core.findings import Report
from detect_tl.core.progress import Progress
from detect_tl.curate.duplicates import identical_groups, similar_groups
from detect_tl.formats.source import split_name

FOLDER, VIDEO = "folder", "video"

# Roboflow puts its own ending behind the number of a frame: "clip_0012_jpg.rf.5b2c….jpg".
_EXPORTED = re.compile(r"[-_.](?:jpe?g|png|bmp)(?:\.rf\.[0-9a-zA-Z]+)?$|\.rf\.[0-9a-zA-Z]+$")
_FRAME = re.compile(r"[-_. ]*(?:frames?|frm|f|img|image)?[-_. #(]*\d+\)?$", re.IGNORECASE)
# These say where a folder lies in a data set and not what is in it.
_LAYOUT = frozenset({"images", "imgs", "jpegimages", "data"})


def together(
    dataset: Dataset,
    root: Path,
    group_by: str | None,
    *,
    most: float,
    report: Report,
    progress: Progress | None = None,
    at_most: int | None = None,
) -> list[int]:
    """One number per sample, equal for images that must not be divided.

    They are the same, or look alike, or are of one group by the rule `group_by`. Where more than
    the share `most` of all images look alike, as those of a camera that never moves do, looks
    cannot keep them together, and a warning says so.
    at_most: of more images than this only the same ones are looked for, which a finding says.
    Raises UsageError for a rule that cannot be used.
    """
    images = [sample.image for sample in dataset.samples]
    rule = [] if group_by is None else [group_keys(group_by, images, root)]
    if at_most is not None and len(images) > at_most:
        text = (
            f"{len(images)} images are too many to compare in passing: only identical ones were "
            "kept together; `detect-tl split` compares them all"
        )
        report.add("split.not-compared", "info", text)
        return joined(identical_groups(images), *rule)
    alike = similar_groups(images, progress)
    largest = max(Counter(alike).values(), default=0)
    if largest <= most * len(images):
        return joined(alike, *rule)
    text = (
        f"{largest} of {len(images)} images look alike, too many to keep together; only "
        "identical ones were, so scores on val may be too good"
    )
    report.add("split.all-alike", "warning", text)
    return joined(identical_groups(images), *rule)


def group_keys(rule: str, images: Sequence[Path], root: Path) -> list[str]:
    """One name per image, equal for images that belong together.

    rule: "folder"; "video" for names that differ in the number of the frame only; else a regular
        expression that is looked for in the path below `root`: what its first group (or all of
        it, without one) finds is the name. An image in which it finds nothing is on its own.
    Raises UsageError for an expression that cannot be read or fits no image at all.
    """
    paths = [_below(image, root) for image in images]
    if rule == FOLDER:
        return [_folder_of(path) for path in paths]
    if rule == VIDEO:
        return [f"{_folder_of(path)}/{_video_of(path.stem)}" for path in paths]
    find = _finder(rule)
    found = [find(path.as_posix()) for path in paths]
    if all(name is None for name in found):
        raise UsageError(
            f"--group-by {rule!r} is found in no path, such as {paths[0].as_posix()!r}",
            hint=r"Give folder, video, or an expression with a group, such as 'patient(\d+)'.",
        )
    return [
        path.as_posix() if name is None else name for path, name in zip(paths, found, strict=True)
    ]


def _finder(rule: str) -> Callable[[str], str | None]:
    try:
        pattern = re.compile(rule)
    except re.error as error:
        raise UsageError(
            f"--group-by {rule!r} is no regular expression: {error}",
            hint="Give folder, video, or an expression with a group.",
        ) from error

    def find(text: str) -> str | None:
        match = pattern.search(text)
        return match.group(min(pattern.groups, 1)) if match else None

    return find


def _below(image: Path, root: Path) -> Path:
    return image.relative_to(root) if image.is_relative_to(root) else Path(image.name)


def _folder_of(path: Path) -> str:
    """The folders of an image, without those that only say to which split it belongs."""
    kept = [p for p in path.parts[:-1] if split_name(p) is None and p.casefold() not in _LAYOUT]
    return "/".join(kept)


def _video_of(stem: str) -> str:
    return _FRAME.sub("", _EXPORTED.sub("", stem))


def joined(*keys: Sequence[Hashable]) -> list[int]:
    """One number per image, equal for images that any of `keys` puts together."""
    parent = list(range(len(keys[0])))

    def head(place: int) -> int:
        while parent[place] != place:
            parent[place] = parent[parent[place]]
            place = parent[place]
        return place

    for values in keys:
        first: dict[Hashable, int] = {}
        for place, value in enumerate(values):
            a, b = head(first.setdefault(value, place)), head(place)
            parent[max(a, b)] = min(a, b)
    return [head(place) for place in range(len(parent))]
