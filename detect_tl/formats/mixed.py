"""Several formats in one folder: what each describes, and whether they can be read together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from detect_tl.core.dataset import Category, Dataset, renumber
from detect_tl.core.errors import DataError
from detect_tl.core.findings import Report
from detect_tl.formats.base import Format, Sniff
from detect_tl.formats.source import Source


@dataclass(frozen=True, slots=True)
class Claim:
    """A format that recognises a source, or a part of it, and why."""

    format: Format
    source: Source
    sniff: Sniff


def separate(source: Source, claims: Sequence[Claim]) -> list[Claim]:
    """Divide a source into folders of one format each, in the order of their paths.

    Gives nothing unless every such folder has images of its own: annotations in a folder without
    any are another account of images that lie elsewhere.
    """
    formats = {claim.format.name: claim.format for claim in claims}
    owner = {path: claim.format.name for claim in claims for path in claim.sniff.files}
    if len(owner) < sum(len(claim.sniff.files) for claim in claims):
        return []  # a file that two formats recognise
    images = source.images.images
    found: list[Claim] = []
    waiting = [(source.root, list(owner))]
    while waiting:
        folder, files = waiting.pop()
        names = {owner[path] for path in files}
        if len(names) == 1:
            part, one = source.part(folder), formats[names.pop()]
            sniffed = one.sniff(part)
            if not sniffed.matches or not any(p.is_relative_to(folder) for p in images):
                return []
            found.append(Claim(one, part, sniffed))
            continue
        inside: dict[Path, list[Path]] = {}
        for path in files:
            if path.parent == folder:
                return []
            child = folder / path.relative_to(folder).parts[0]
            inside.setdefault(child, []).append(path)
        waiting += sorted(inside.items(), reverse=True)
    return found


def about_nothing_here(claim: Claim) -> bool:
    """Whether annotations describe none of the images of their source: a stray file of another
    set. One that cannot be read may well be about them."""
    try:
        dataset = claim.format.read(claim.source, Report())
    except DataError:
        return False
    return all(sample.annotation is None for sample in dataset.samples)


def unite(parts: Mapping[str, Dataset], report: Report) -> Dataset:
    """One data set of several, by the names of their folders; categories meet by name."""
    categories: dict[str, Category] = {}
    for dataset in parts.values():
        for category in dataset.categories:
            known = categories.setdefault(category.name, category)
            if not known.supercategory:
                categories[category.name] = category
    names = list(categories)
    shared = sum(len(dataset.categories) for dataset in parts.values()) - len(names)
    listed = ", ".join(f"{name} ({len(dataset)} images)" for name, dataset in parts.items())
    text = f"{len(parts)} folders were read as one data set: {listed}"
    if shared:
        report.changed["classes-united-by-name"] += shared
        text += f"; {shared} classes that bear the name of another folder's are the same"
    report.add("source.united", "info", text)
    samples = [s for d in parts.values() for s in renumber(d, names).samples]
    return replace(Dataset(tuple(categories.values()), ()), samples=tuple(samples))


def say_outside(source: Source, parts: Sequence[Claim], report: Report) -> None:
    """Count the images that lie in none of the folders that were read."""
    folders = [claim.source.root for claim in parts]
    images = source.images.images
    outside = [p for p in images if not any(p.is_relative_to(folder) for folder in folders)]
    if outside:
        report.lost["images-not-listed"] += len(outside)
        text = f"{len(outside)} images lie beside the annotated folders, such as"
        report.add("image.unlisted", "info", f"{text} {source.short(outside[0])}; left out")
