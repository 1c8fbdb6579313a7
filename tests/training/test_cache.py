"""Where the next run finds what is kept of frozen layers, and what makes room."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st
from hypothesis.extra import numpy as hnp

from detect_tl.training.cache import FeatureCache, View, fingerprint
from detect_tl.training.features import FeatureViews
from detect_tl.training.run import train
from tests.training.test_run import config, tensors


def part(first: int, count: int) -> View:
    maps = {4: torch.arange(first, first + count).reshape(count, 1, 1, 1).bfloat16()}
    labels = [{"cls": torch.tensor([float(k)]), "im_file": f"{k}"} for k in range(count)]
    return View(maps, labels, (8, 16))


def test_a_view_is_found_again_as_it_was(tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path)
    assert cache.get("a") is None
    cache.put("a", [part(0, 3), part(3, 2)])
    found = FeatureCache(tmp_path).get("a")
    assert found is not None
    assert found.maps[4].flatten().tolist() == [0, 1, 2, 3, 4]
    assert found.maps[4].dtype is torch.bfloat16
    assert [label["im_file"] for label in found.labels] == ["0", "1", "2", "0", "1"]
    assert found.shape == (8, 16)


def test_half_a_view_is_none(tmp_path: Path) -> None:
    def broken() -> Iterator[View]:
        yield part(0, 3)
        raise KeyboardInterrupt

    cache = FeatureCache(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        cache.put("a", broken())
    assert list(tmp_path.iterdir()) == []
    cache.put("a", [part(0, 3)])
    with (tmp_path / "a" / "4.maps").open("r+b") as stream:
        stream.truncate(4)
    assert cache.get("a") is None
    assert cache.put("a", [part(0, 3)]).maps[4].flatten().tolist() == [0, 1, 2]


def test_two_runs_may_keep_the_same_view_at_once(tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path)

    def slow() -> Iterator[View]:
        yield part(0, 3)
        cache.put("a", [part(0, 3)])  # the other one is done first

    assert cache.put("a", slow()).maps[4].flatten().tolist() == [0, 1, 2]


@given(
    sizes=st.lists(st.integers(1, 40), max_size=6),
    used=st.integers(0, 5),
    wanted=st.integers(0, 300),
    limit=st.integers(0, 300),
)
def test_what_was_not_used_for_longest_goes_first(
    sizes: list[int], used: int, wanted: int, limit: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        cache = FeatureCache(Path(folder), limit)
        for place, size in enumerate(sizes):
            entry = Path(folder, f"{place}")
            entry.mkdir()
            (entry / "4.maps").write_bytes(bytes(size))
            os.utime(entry, (place, place))
        if used < len(sizes):
            os.utime(Path(folder, f"{used}"), (99, 99))
        order = sorted(range(len(sizes)), key=lambda k: 99 if k == used else k)
        cache.make_room(wanted)
        left = [k for k in order if Path(folder, f"{k}").exists()]
        assert left == order[len(order) - len(left) :]
        assert cache.size() + wanted <= limit or not left
        if len(left) < len(order):  # no more went than had to
            last = sizes[order[-len(left) - 1]]
            assert cache.size() + last + wanted > limit


def test_what_another_run_is_writing_stays_and_what_a_killed_one_wrote_goes(tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path / "cache", 0)
    kill = (
        "import os, sys; from pathlib import Path; from detect_tl.core.files import atomic_folder"
    )
    kill += "\nwith atomic_folder(Path(sys.argv[1])): os.kill(os.getpid(), 9)"
    subprocess.run([sys.executable, "-c", kill, str(cache.folder / "b")], check=False)
    assert len(list(cache.folder.iterdir())) == 1

    def slow() -> Iterator[View]:
        yield part(0, 1)
        cache.make_room(1)
        yield part(1, 2)

    assert cache.put("a", slow()).maps[4].flatten().tolist() == [0, 1, 2]
    assert [path.name for path in cache.folder.iterdir()] == ["a"]


parts = st.lists(
    st.one_of(
        st.text(max_size=3),
        st.integers(0, 9),
        hnp.arrays(st.sampled_from([np.uint8, np.float32]), st.integers(0, 3)),
        st.lists(st.floats(width=16), max_size=2).map(lambda v: torch.tensor(v).bfloat16()),
    ),
    max_size=4,
)


@given(a=parts, b=parts)
def test_a_fingerprint_tells_values_apart(a: list[Any], b: list[Any]) -> None:
    def bits(values: list[Any]) -> list[Any]:
        found = []
        for value in values:
            array = value.float().numpy() if isinstance(value, torch.Tensor) else value
            plain = not isinstance(array, np.ndarray)
            content = array if plain else (array.dtype.str, array.shape, array.tobytes())
            found.append((type(value).__name__, content))
        return found

    assert (fingerprint(a) == fingerprint(b)) == (bits(a) == bits(b))


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Numbers of the views that runs had to compute."""
    numbers: list[int] = []
    compute = FeatureViews._compute

    def computing(self: FeatureViews, number: int) -> Iterator[View]:
        numbers.append(number)
        return compute(self, number)

    monkeypatch.setattr(FeatureViews, "_compute", computing)
    return numbers


SETTINGS: dict[str, object] = {"strategy": "freeze", "epochs": 2, "views": 2}


@pytest.mark.slow
def test_the_next_run_finds_the_views(
    shapes: Path, small_checkpoint: Path, tmp_path: Path, computed: list[int]
) -> None:
    first = train(config(shapes, small_checkpoint, tmp_path / "a", **SETTINGS)).run
    assert computed == [0, 1]
    second = train(config(shapes, small_checkpoint, tmp_path / "b", **SETTINGS)).run
    train(config(shapes, small_checkpoint, tmp_path / "c", **{**SETTINGS, "lr": 0.01}))
    assert computed == [0, 1]
    a, b = tensors(first.last), tensors(second.last)
    assert [name for name in a if not torch.equal(a[name], b[name])] == []


def _pixel(data: Path, weights: Path) -> None:
    del weights
    path = min((data / "images" / "train").iterdir())
    image = cv2.imread(str(path))
    image[0, 0] ^= 255
    path.unlink()  # it is linked to the original
    cv2.imwrite(str(path), image)


def _box(data: Path, weights: Path) -> None:
    del weights
    path = min((data / "labels" / "train").iterdir())
    text = path.read_text()
    path.unlink()
    path.write_text(text.replace("0.", "0.1", 1))


def _weight(data: Path, weights: Path) -> None:
    del data
    document = torch.load(weights, weights_only=False)
    next(document["model"].parameters()).data[0, 0, 0, 0] += 1
    torch.save(document, weights)


@pytest.mark.slow
@pytest.mark.parametrize(
    "change",
    [
        _pixel,
        _box,
        _weight,
        {"seed": 1},
        {"mosaic": 0.5},
        {"augment": "light"},
        {"freeze": 4},
        {"amp": False},
    ],
)
def test_a_view_is_never_stale(
    shapes: Path,
    small_checkpoint: Path,
    tmp_path: Path,
    computed: list[int],
    change: Callable[[Path, Path], None] | dict[str, object],
) -> None:
    once = {**SETTINGS, "epochs": 1}
    data, weights = tmp_path / "data", tmp_path / "own.pt"
    shutil.copytree(shapes, data)
    shutil.copy(small_checkpoint, weights)
    train(config(data, weights, tmp_path / "a", **once))
    settings = change if isinstance(change, dict) else {}
    if callable(change):
        change(data, weights)
    train(config(data, weights, tmp_path / "b", **{**once, **settings}))
    assert computed == [0, 0]


@pytest.mark.slow
def test_a_refresh_takes_new_views_and_drops_the_old(
    shapes: Path, small_checkpoint: Path, tmp_path: Path, computed: list[int]
) -> None:
    settings = {**SETTINGS, "epochs": 6, "refresh": 3}
    train(config(shapes, small_checkpoint, tmp_path / "a", **settings))
    # each time the last epoch has the last view, the one before it the one before
    assert computed == [1, 0, 3, 2]
    assert len(list(FeatureCache().folder.iterdir())) == 2


@pytest.mark.slow
def test_the_limit_holds_over_runs(
    shapes: Path, small_checkpoint: Path, tmp_path: Path, computed: list[int]
) -> None:
    train(config(shapes, small_checkpoint, tmp_path / "a", **SETTINGS))
    limit = FeatureCache().size()
    again = {**SETTINGS, "seed": 1, "cache_limit": limit / 1e9}
    train(config(shapes, small_checkpoint, tmp_path / "b", **again))
    assert computed == [0, 1, 0, 1]
    assert 0 < FeatureCache().size() <= limit
    train(config(shapes, small_checkpoint, tmp_path / "c", **{**again, "cache_limit": 0}))
    assert computed == [0, 1, 0, 1]
