"""What was sent to a machine stays within a limit, and as long as anybody trains on it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from detect_tl.scale.lent import LentDataSets
from detect_tl.scale.parcel import Manifest, manifest_of, part_of

SIZE = 1_000


@pytest.fixture
def sets(tmp_path: Path) -> list[Manifest]:
    """Four data sets of the same size."""
    found = []
    for number in range(4):
        folder = tmp_path / "sent" / str(number)
        (folder / "images" / "train").mkdir(parents=True)
        (folder / "data.yaml").write_text(f"names: [class {number}]\n")
        rest = SIZE - (folder / "data.yaml").stat().st_size
        (folder / "images" / "train" / "a.jpg").write_bytes(bytes(rest))
        found.append(manifest_of(folder))
    return found


@pytest.fixture
def cache(tmp_path: Path) -> LentDataSets:
    """Room for two of them."""
    return LentDataSets(2 * SIZE, tmp_path / "cache")


def use(cache: LentDataSets, manifest: Manifest, *, at: int) -> None:
    with cache.borrow(manifest, lambda number: part_of(manifest.path, manifest, number)) as folder:
        assert manifest_of(folder).sha256 == manifest.sha256
    os.utime(folder, (at, at))


def here(cache: LentDataSets, sets: list[Manifest]) -> list[int]:
    """The numbers of those that are there; nothing else may be."""
    names = [path.name for path in cache.folder.iterdir()]
    found = [number for number, each in enumerate(sets) if each.sha256[:32] in names]
    assert len(found) == len(names)
    return found


def test_those_unused_for_longest_go(cache: LentDataSets, sets: list[Manifest]) -> None:
    for number in (0, 1):
        use(cache, sets[number], at=number)
    use(cache, sets[0], at=2)  # is not sent again, and not the oldest any more
    use(cache, sets[2], at=3)
    assert here(cache, sets) == [0, 2]
    use(cache, sets[3], at=4)
    assert here(cache, sets) == [2, 3]


def test_what_is_used_again_now_counts_as_used(cache: LentDataSets, sets: list[Manifest]) -> None:
    for number in (0, 1):
        use(cache, sets[number], at=number)
    with cache.borrow(sets[0], pytest.fail):
        pass
    use(cache, sets[2], at=2)
    assert here(cache, sets) == [0, 2]


def test_one_larger_than_the_limit_comes_all_the_same(sets: list[Manifest], tmp_path: Path) -> None:
    cache = LentDataSets(0, tmp_path / "cache")
    for number in (0, 1):
        use(cache, sets[number], at=number)
        assert here(cache, sets) == [number]


def test_what_somebody_has_damaged_is_sent_again(cache: LentDataSets, sets: list[Manifest]) -> None:
    use(cache, sets[0], at=0)
    (cache.folder / sets[0].sha256[:32] / "data.yaml").unlink()
    use(cache, sets[0], at=1)
    assert here(cache, sets) == [0]


def test_what_is_in_use_stays(cache: LentDataSets, sets: list[Manifest]) -> None:
    cache.limit = 0
    use(cache, sets[0], at=0)
    with cache.borrow(sets[0], pytest.fail), cache.borrow(sets[0], pytest.fail):
        use(cache, sets[1], at=1)
        assert here(cache, sets) == [0, 1]
    use(cache, sets[2], at=2)
    assert here(cache, sets) == [2]


_KILLED = """
import sys, time
from pathlib import Path
from detect_tl.scale.lent import LentDataSets
from detect_tl.scale.parcel import manifest_of, part_of
manifest = manifest_of(Path(sys.argv[1]))
def part(number):
    if sys.argv[3] == "sends":
        print("now", flush=True)
        time.sleep(600)
    return part_of(manifest.path, manifest, number)
with LentDataSets(0, Path(sys.argv[2])).borrow(manifest, part):
    print("now", flush=True)
    time.sleep(600)
"""


@pytest.mark.parametrize("while_it", ["trains", "sends"])
def test_what_a_killed_process_had_goes(
    cache: LentDataSets, sets: list[Manifest], while_it: str
) -> None:
    cache.limit = 0
    command = [sys.executable, "-c", _KILLED, str(sets[0].path), str(cache.folder), while_it]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"now\n"
        use(cache, sets[1], at=1)
        assert len(list(cache.folder.iterdir())) == 2
        process.send_signal(signal.SIGKILL)
    use(cache, sets[2], at=2)
    assert here(cache, sets) == [2]
