"""What a user knows of annotations before they are read; all verbs that read some take it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypedDict


class Reading(TypedDict, total=False):
    """The fields of `detect_tl.formats.options.ReadOptions`, each to be left out.

    from_format: name of the format, where it is not to be recognised. annotations: pattern of the
    annotation files to read. columns: what the columns of a table hold, for example
    {"image": "file", "label": "species"}. follow_links: read also what lies behind links that lead
    out of the source.
    """

    from_format: str | None
    annotations: str | None
    columns: Mapping[str, str] | None
    follow_links: bool
