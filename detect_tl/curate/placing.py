"""Putting the images of a data set where its folder has them, under names that all differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from detect_tl.core.dataset import SPLITS, Dataset, Sample
from detect_tl.core.files import place_file
from detect_tl.core.findings import Report
from detect_tl.core.image_header import read_header
from detect_tl.core.parallel import spread
from detect_tl.core.progress import Progress
from detect_tl.curate.names import plan_names

Link = Literal["copy", "hard", "soft"]
LINKS: tuple[Link, ...] = ("copy", "hard", "soft")

# Images that one process puts into place at a time.
_TOGETHER = 2000
# A file, where it belongs, how it gets there, and what is added at its end.
_Placing = tuple[str, str, Link, bytes]


@dataclass(frozen=True, slots=True)
class ImageEdit:
    """How the file of an image is to be written where a plain copy will not do.

    suffix: its extension, with the dot; "" keeps it. tail: bytes to add at its end.
    """

    suffix: str = ""
    tail: bytes = b""


def in_order(
    dataset: Dataset, root: Path, report: Report, edits: Mapping[Path, ImageEdit]
) -> list[tuple[Sample, str]]:
    """Samples with the names they get, by split and name."""
    images = [_with_suffix(s.image, edits.get(s.image)) for s in dataset.samples]
    names = plan_names(images, root)
    pairs = list(zip(dataset.samples, names, strict=True))
    for (sample, name), image in zip(pairs, images, strict=True):
        if name != image.name:
            report.changed["images-renamed"] += 1
            text = f"called {name}: its name is that of another image, or too long"
            report.add("image.renamed", "info", text, sample.image)
    return sorted(pairs, key=lambda pair: (SPLITS.index(pair[0].split or "train"), pair[1]))


def _with_suffix(image: Path, edit: ImageEdit | None) -> Path:
    return image.with_suffix(edit.suffix) if edit and edit.suffix else image


def place_images(
    planned: Sequence[tuple[Sample, str]],
    folder: Path,
    link: Link | None,
    report: Report,
    *,
    edits: Mapping[Path, ImageEdit],
    progress: Progress,
) -> tuple[Sample, ...]:
    """Put images at `folder/images/<split>/<name>`; give the samples with their new places.

    planned: see `in_order`. link: None for images that are only read from there, and removed.
    """
    places = {split: folder / "images" / split for split in SPLITS}
    targets = [places[sample.split or "train"] / name for sample, name in planned]
    for split in {sample.split or "train" for sample, _ in planned}:
        places[split].mkdir(parents=True)
    files: list[_Placing] = []
    for (sample, _), target in zip(planned, targets, strict=True):
        tail = edits[sample.image].tail if sample.image in edits else b""
        how: Link = link or ("copy" if tail else "soft")
        if link in {"hard", "soft"} and (tail or _appendix(sample)):
            # what is added, or training, would write through the link into the user's own file
            report.changed["images-copied-not-linked"] += 1
            how = "copy"
        files.append((str(sample.image), str(target), how, tail))
    batches = [files[k : k + _TOGETHER] for k in range(0, len(files), _TOGETHER)]
    with progress.step("Placing images", len(files)) as bar:
        for count in spread(_place, batches):
            bar.advance(count)
    return tuple(
        moved(sample, target) for (sample, _), target in zip(planned, targets, strict=True)
    )


def _place(files: Sequence[_Placing]) -> int:
    """Put some files where they belong; return how many."""
    for source, target, link, tail in files:
        try:
            place_file(source, target, link)
        except FileExistsError:  # by a process that was lost after it had done this much
            Path(target).unlink()
            place_file(source, target, link)
        if tail:
            with Path(target).open("ab") as stream:
                stream.write(tail)
    return len(files)


def _appendix(sample: Sample) -> bool:
    return sample.header.appendix if sample.header else read_header(sample.image).appendix


def moved(sample: Sample, image: Path) -> Sample:
    """The sample with its image elsewhere."""
    return Sample(
        image,
        sample.size,
        sample.instances,
        sample.split,
        sample.annotation,
        sample.header,
        sample.not_exhaustive,
    )
