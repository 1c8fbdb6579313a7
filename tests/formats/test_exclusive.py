"""No annotation file is claimed by two formats."""

from __future__ import annotations

from pathlib import Path

import pytest

from detect_tl.formats.base import load_formats
from detect_tl.formats.source import Source
from tests.formats.seeds import SEEDS


@pytest.mark.parametrize("name", SEEDS)
def test_a_file_belongs_to_one_format(tmp_path: Path, name: str) -> None:
    SEEDS[name](tmp_path)
    source = Source(tmp_path)
    assert [item.name for item in load_formats() if item.sniff(source).matches] == [name]
