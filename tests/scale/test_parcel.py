"""A data set that is sent to a node arrives as it was, or not at all."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from detect_tl.core.errors import MachineError
from detect_tl.core.files import find_images
from detect_tl.curate.convert import convert
from detect_tl.scale import parcel
from detect_tl.scale.parcel import Manifest, Part, is_here, manifest_of, part_of, unpack
from tests.training.conftest import shapes  # noqa: F401  # a fixture


@pytest.fixture(scope="module")
def dataset(shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:  # noqa: F811
    folder = tmp_path_factory.mktemp("prepared") / "dataset"
    convert(shapes, folder)
    return folder


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parcel, "_PART", 4_000)


def contents(folder: Path) -> dict[str, bytes]:
    places = ("data.yaml", "annotations/*", "images/*/*", "labels/*/*")
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for place in places
        for path in folder.glob(place)
        if path.suffix != ".cache"
    }


def test_what_arrives_is_what_was_sent(dataset: Path, tmp_path: Path) -> None:
    manifest = manifest_of(dataset)
    assert len(manifest.parts) > 3
    asked: list[int] = []

    def part(number: int) -> Part:
        asked.append(number)
        return part_of(dataset, manifest, number)

    folder = unpack(manifest, part, tmp_path)
    assert contents(folder) == contents(dataset)
    assert asked == list(range(len(manifest.parts)))
    assert unpack(manifest, part, tmp_path) == folder
    assert len(asked) == len(manifest.parts)  # it is there now
    assert manifest.bytes == sum(map(len, contents(dataset).values()))


def test_damage_on_the_way_is_seen_and_leaves_nothing(dataset: Path, tmp_path: Path) -> None:
    manifest = manifest_of(dataset)

    def part(number: int) -> Part:
        sent = part_of(dataset, manifest, number)
        name = next(iter(sent.files))
        return replace(sent, files={**sent.files, name: sent.files[name][:-1] + b"?"})

    with pytest.raises(MachineError, match="damaged"):
        unpack(manifest, part, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_data_set_that_has_changed_meanwhile_is_refused(
    shapes: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    folder = tmp_path / "dataset"
    convert(shapes, folder)
    manifest = manifest_of(folder)
    assert is_here(manifest)
    label = next((folder / "labels" / "train").glob("*.txt"))
    label.write_bytes(label.read_bytes().replace(b"0", b"1", 1))
    assert not is_here(manifest)
    with pytest.raises(MachineError, match="no longer what it was"):
        unpack(manifest, lambda number: part_of(folder, manifest, number), tmp_path / "there")


def test_a_copy_elsewhere_is_known_by_its_content(dataset: Path, tmp_path: Path) -> None:
    manifest = manifest_of(dataset)
    missing: Manifest = replace(manifest, path=tmp_path / "nowhere")
    assert not is_here(missing)
    copy = unpack(manifest, lambda number: part_of(dataset, manifest, number), tmp_path)
    assert is_here(replace(manifest, path=copy))
    find_images(copy / "images")[0].unlink()
    assert not is_here(replace(manifest, path=copy))
