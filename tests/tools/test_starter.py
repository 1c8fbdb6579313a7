"""The starter that is committed: small, ordinary, and called what it is."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from detect_tl.models.checkpoint import load_checkpoint
from tools.worlds.toys import TOYS


@pytest.fixture(scope="module")
def starter(repository: Path) -> Path:
    return repository / "weights" / "starter.pt"


def test_it_is_a_small_yolo11n_that_loads_without_trust(starter: Path) -> None:
    assert starter.stat().st_size <= 6_000_000
    checkpoint = load_checkpoint(starter)
    assert checkpoint.task == "detect"
    assert list(checkpoint.names) == list(TOYS)
    # the backbone and neck of yolo11n, and its head for the toys' classes
    parameters = sum(p.numel() for p in checkpoint.model.parameters())
    assert 2_580_000 < parameters < 2_630_000


def test_it_says_what_it_is_and_not_where_it_was_made(starter: Path) -> None:
    with zipfile.ZipFile(starter) as archive:
        (name,) = (n for n in archive.namelist() if n.endswith("data.pkl"))
        pickle = archive.read(name)
    assert b"synthetic starter, not COCO" in pickle
    for trace in (b"/tmp", b"/home", b"/root", b"/work", b"/Users", b"site-packages"):
        assert trace not in pickle
