"""Thirty official names, one sum each, and a hint for every other name."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from detect_tl.core.errors import WeightsError
from detect_tl.transfer.manifest import (
    STARTER,
    STARTER_NOTE,
    URL_VARIABLE,
    find,
    is_known,
    official,
    recognise,
)


def test_thirty_official_names() -> None:
    entries = official()
    families = {"yolov8", "yolo11", "yolo26"}
    expected = {f"{f}{s}{task}" for f in families for s in "nsmlx" for task in ("", "-seg")}
    assert {entry.name for entry in entries} == expected
    assert len({entry.sha256 for entry in entries}) == 30
    for entry in entries:
        assert re.fullmatch(r"[0-9a-f]{64}", entry.sha256 or "")
        assert entry.task == ("segment" if entry.name.endswith("-seg") else "detect")
        assert entry.licence == "AGPL-3.0"
        assert entry.url.endswith(f"/v8.4.0/{entry.name}.pt")
        # fp16 weights: two bytes each, and some for structure; the 8.3 files hold float32
        assert entry.size is not None
        assert entry.parameters is not None
        assert 1.9 < entry.size / entry.parameters < 2.5


def test_figures_are_those_of_the_shared_table(shared: Path) -> None:
    text = (shared / "weights" / "CHECKSUMS.md").read_text()
    rows = re.findall(r"\| (\S+)\.pt \| (\d+) \| ([0-9a-f]{64}) \|", text)
    assert len(rows) == 35
    for name, size, sha256 in rows:
        entry, known = find(name), recognise(sha256)
        assert known.name == name
        if known.kind == "official":
            assert (entry.size, entry.sha256) == (int(size), sha256)
        else:
            assert known.kind == "older official"
            assert entry.sha256 != sha256


@pytest.mark.parametrize("name", ["yolo11n", "yolo11n-seg", "yolov8n", "yolo26n-seg"])
def test_parameter_counts(name: str) -> None:
    from detect_tl.models.yolo import build_model, model_config

    entry = find(name)
    model = build_model(model_config(name, entry.task), entry.task, 80)
    assert sum(value.numel() for value in model.parameters()) == entry.parameters


@pytest.mark.parametrize("name", ["yolo11n", "yolo11n.pt", "YOLO11n", " yolo11n.pt "])
def test_spelling(name: str) -> None:
    assert find(name).file == "yolo11n.pt"
    assert is_known(name)


@pytest.mark.parametrize(
    ("wrong", "near"),
    [("yolo11nn", "yolo11n"), ("yolov11n", "yolo11n"), ("yolo26n_seg", "yolo26n-seg")],
)
def test_did_you_mean(wrong: str, near: str) -> None:
    assert not is_known(wrong)
    with pytest.raises(WeightsError, match=wrong) as caught:
        find(wrong)
    assert caught.value.exit_code == 4
    assert "Did you mean" in caught.value.hint
    assert repr(near) in caught.value.hint


def test_the_starter_is_called_what_it_is() -> None:
    starter = find(STARTER)
    assert starter.trained_on == STARTER_NOTE == "synthetic starter, not COCO"
    assert starter.embedded
    assert starter.url == ""
    assert starter not in official()


def test_a_mirror_serves_the_same_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(URL_VARIABLE, "https://mirror.example/yolo/")
    assert find("yolov8s").url == "https://mirror.example/yolo/yolov8s.pt"


def test_unknown_sums_are_unknown() -> None:
    assert recognise("0" * 64).kind == "unknown"
    assert recognise("0" * 64).name is None
