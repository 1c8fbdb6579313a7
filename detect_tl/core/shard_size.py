"""How large a shard is to be, as a person says it."""

from __future__ import annotations

import re
from dataclasses import dataclass

_UNITS = {"kb": 10**3, "mb": 10**6, "gb": 10**9}
_SIZE = re.compile(r"(\d+)\s*(kb|mb|gb)?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ShardSize:
    """At most how many images go into one shard, or how many bytes of them; None for no limit."""

    images: int | None = None
    size: int | None = None

    @classmethod
    def parsed(cls, text: str) -> ShardSize:
        """ "5000" is so many images, "500MB" so many bytes; raises ValueError for anything else."""
        match = _SIZE.fullmatch(text.strip())
        number = int(match[1]) if match else 0
        if match is None or number < 1:
            raise ValueError(f"{text!r} is no number of images such as 5000, nor a size like 500MB")
        unit = match[2]
        return cls(size=number * _UNITS[unit.lower()]) if unit else cls(images=number)

    def __str__(self) -> str:
        if self.size is None:
            return str(self.images)
        name, unit = max(
            ((n, u) for n, u in _UNITS.items() if not self.size % u), default=("kb", 1)
        )
        return f"{self.size // unit}{name.upper()}"
