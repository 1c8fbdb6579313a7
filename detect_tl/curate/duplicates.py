"""Images that are the same, byte for byte or to the eye."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Sequence
from itertools import chain
from pathlib import Path

import numpy as np

from detect_tl.core.files import sha256_file
from detect_tl.core.image_header import ImageHeader
from detect_tl.core.parallel import spread, threaded
from detect_tl.core.progress import Progress, Silent, track
from detect_tl.curate.fingerprints import FINE_BITS, Fingerprint, fingerprint_of
from detect_tl.curate.hamming import components

# Bits of 64 in which pictures that look alike may differ, see `similar_groups`.
ALIKE = 8
# Files that one process hashes at a time; fewer are not worth another process.
_TOGETHER = 500
# Fine bits that may differ for each coarse one.
_FINE_PER_COARSE = 8


def identical_groups(
    images: Sequence[Path], headers: Sequence[ImageHeader | None] = ()
) -> list[Hashable]:
    """One value per image, equal for images of equal content.

    headers: what is known of their two ends, if anything. Only files of equal length, and as far
    as is known of equal ends, are read.
    """
    ends = [(header.length, header.checksum) for header in headers if header]
    keys = ends if len(ends) == len(images) else [path.stat().st_size for path in images]
    candidates: dict[Hashable, list[int]] = defaultdict(list)
    for place, key in enumerate(keys):
        candidates[key].append(place)
    groups: list[Hashable] = list(range(len(images)))
    again = [place for places in candidates.values() if len(places) > 1 for place in places]
    found = chain.from_iterable(spread(_hashes, _batches([images[place] for place in again])))
    for place, digest in zip(again, found, strict=True):
        groups[place] = digest
    return groups


def _batches(images: Sequence[Path]) -> list[Sequence[Path]]:
    return [images[k : k + _TOGETHER] for k in range(0, len(images), _TOGETHER)]


def _hashes(images: Sequence[Path]) -> list[str]:
    return [sha256_file(image) for image in images]


def similar_groups(
    images: Sequence[Path], progress: Progress | None = None, *, threshold: int = ALIKE
) -> list[Hashable]:
    """One value per image, equal for images that look alike, and for identical ones.

    Two images look alike when their perceptual hashes differ in at most `threshold` of 64 bits
    and a finer one in at most eight times as many of 256; groups are chains of such pairs, so the
    frames of a slow video become one. A plain area, and a file that cannot be decoded, looks like
    nothing but its own copies.

    The default was chosen on nine real sets of 1,034 images: microscopy, streets, number plates,
    receipts, fruit, damaged cars, cats. Copies that were halved, squeezed to a square, blurred,
    darkened to 0.6, given more contrast or stored as JPEG of quality 20 differed in at most 6
    coarse and 22 fine bits; those brightened by 1.3 in a median of 2 and 14 (overexposed ones in
    16 and 56); those cut by 2 % on every side in a median of 4 and 35, at most 10 and 64. Of
    141,000 pairs of pictures with nothing in common, none differed in fewer than 14 and 76 bits,
    though 364 fields of blood cells look much the same. 300 frames in a row from a fixed camera
    are one group. Cuts of 5 % and more, turns and mirror images are not found.
    """
    progress = progress or Silent()
    found = threaded(fingerprint_of, images)
    prints = list(track(progress, found, "Comparing images", len(images)))
    return alike(prints, identical_groups(images), threshold)


def alike(
    prints: Sequence[Fingerprint | None], contents: Sequence[Hashable], threshold: int = ALIKE
) -> list[Hashable]:
    """One value per image, equal for those with alike fingerprints and for equal `contents`."""
    groups = list(contents)
    first: dict[Hashable, int] = {}
    for place, content in enumerate(contents):
        if prints[place] is not None:
            first.setdefault(content, place)
    known = [(place, found) for place in first.values() if (found := prints[place]) is not None]
    if len(known) < 2:
        return groups
    coarse = np.stack([found.coarse for _, found in known])
    fine = np.stack([found.fine for _, found in known])
    most = min(_FINE_PER_COARSE * threshold, FINE_BITS)
    labels = components(coarse, fine, threshold, most).tolist()
    leader: dict[int, Hashable] = {}
    same: dict[Hashable, Hashable] = {}
    for label, (place, _) in zip(labels, known, strict=True):
        same[contents[place]] = leader.setdefault(label, contents[place])
    return [same.get(content, content) for content in groups]
