"""COCO's compressed run lengths: numbers in base 32, six bits to a character.

Decoded here and not by pycocotools, which trusts its input and reads beyond a damaged string.
Source of the scheme: `rleToString` and `rleFrString` of the COCO API.
"""

from __future__ import annotations

_OFFSET = 48
_MORE = 0x20
_SIGN = 0x10


def decode_counts(text: str | bytes) -> list[int]:
    """Turn a compressed string into run lengths; raise ValueError when it is damaged."""
    data = text.encode("latin-1", errors="replace") if isinstance(text, str) else text
    counts: list[int] = []
    value = shift = 0
    for byte in data:
        bits = byte - _OFFSET
        if not 0 <= bits < 64 or shift > 60:
            raise ValueError("damaged run lengths")
        value |= (bits & 0x1F) << shift
        shift += 5
        if bits & _MORE:
            continue
        if bits & _SIGN:
            value -= 1 << shift
        # From the third on, a run is stored as the difference to the one two places before.
        counts.append(value + (counts[-2] if len(counts) > 2 else 0))
        value = shift = 0
    if shift:
        raise ValueError("damaged run lengths: the string is cut off")
    return counts
