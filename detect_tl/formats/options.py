"""What a user may say about a source: its format, which of its files to read, what columns mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

# Options that only some formats understand; `Format.options` names the ones that it does.
OF_SOME_FORMATS = frozenset({"columns"})


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """How a source is to be read; with the defaults, everything is recognised.

    from_format: name of the one format to read.
    annotations: pattern of the annotation files to read, where a folder holds several accounts of
        the same images. Without a slash it is held against names, else against the ends of paths
        below the source; `*` stands for anything, folders included.
    columns: what the columns of a table hold, for example {"image": "file", "label": "species"}.
    follow_links: read also what lies behind links that lead out of the source.
    """

    from_format: str | None = None
    annotations: str | None = None
    columns: Mapping[str, str] | None = None
    follow_links: bool = False

    @property
    def chooses(self) -> bool:
        """Whether they say anything about which annotations to read, and how."""
        return any(v is not None for v in (self.from_format, self.annotations, self.columns))

    @property
    def special(self) -> frozenset[str]:
        """Names of the given options that only some formats understand."""
        return frozenset(n for n in OF_SOME_FORMATS if getattr(self, n) is not None)

    def wants(self, relative: str) -> bool:
        """Whether an annotation file is to be read, by its path below the source, with "/"."""
        wanted = self.annotations
        return (
            wanted is None or fnmatchcase(relative, wanted) or fnmatchcase(relative, f"*/{wanted}")
        )

    def as_json(self) -> dict[str, str | bool | dict[str, str]]:
        """The options that were given, by the names a user types."""
        given: dict[str, str | bool | dict[str, str]] = {}
        if self.from_format is not None:
            given["from"] = self.from_format
        if self.annotations is not None:
            given["annotations"] = self.annotations
        if self.columns is not None:
            given["columns"] = dict(self.columns)
        if self.follow_links:
            given["follow-links"] = True
        return given


RECOGNISE = ReadOptions()
