"""The folder of results: what is done stays done, once, however a run ends."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from detect_tl.core.errors import UsageError
from detect_tl.scale.detecting import Answer
from detect_tl.scale.ledger import opened_ledger

MANIFEST: dict[str, Any] = {"model": "abc", "settings": {"conf": 0.25}, "save": ["jsonl"]}


def answer(number: int, failed: int = 0) -> Answer:
    files = {"jsonl": b"%d\n" % number, **({"failures": b"{}\n"} if failed else {})}
    return Answer(number, 10, failed, Counter(cat=number), files, 0.5)


def test_what_is_done_is_known_again(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with opened_ledger(out, MANIFEST) as ledger:
        assert [ledger.add(answer(k, failed=k % 2)) for k in (0, 2, 1, 2)] == [1, 1, 1, 0]
        told = ledger.images, ledger.failed, ledger.objects, ledger.bytes, ledger.seconds
    with opened_ledger(out, MANIFEST) as ledger:
        assert ledger.done == {0, 1, 2}
        assert told == (ledger.images, ledger.failed, ledger.objects, ledger.bytes, ledger.seconds)
        assert told[:3] == (30, 1, Counter(cat=3))
        assert ledger.files() == (out / "jsonl", out / "failures")
    assert (out / "jsonl" / "part-000002.jsonl").read_bytes() == b"2\n"


@given(cut=st.integers(1, 10_000))
def test_a_line_that_was_cut_off_is_done_again(
    tmp_path_factory: pytest.TempPathFactory, cut: int
) -> None:
    out = tmp_path_factory.mktemp("ledger") / "out"
    with opened_ledger(out, MANIFEST) as ledger:
        for number in range(5):
            ledger.add(answer(number))
    done = out / "done.jsonl"
    whole = done.read_bytes()
    done.write_bytes(whole[: cut % len(whole)])
    with opened_ledger(out, MANIFEST) as ledger:
        kept = set(ledger.done)
        assert kept == set(range(whole[: cut % len(whole)].count(b"\n")))
        assert [ledger.add(answer(number)) for number in range(5)] == [
            k not in kept for k in range(5)
        ]
    assert done.read_bytes() == whole


def test_a_shard_without_its_file_is_done_again(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with opened_ledger(out, MANIFEST) as ledger:
        for number in range(3):
            ledger.add(answer(number, failed=1))
    (out / "jsonl" / "part-000001.jsonl").unlink()
    (out / "failures" / "part-000002.jsonl").unlink()
    with opened_ledger(out, MANIFEST) as ledger:
        assert ledger.done == {0}
        assert ledger.add(answer(1))
    with opened_ledger(out, MANIFEST) as ledger:
        assert ledger.done == {0, 1}
        assert ledger.images == 20


def test_what_a_killed_run_had_begun_to_write_goes(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with opened_ledger(out, MANIFEST) as ledger:
        ledger.add(answer(0))
    begun = out / "jsonl" / ".part-000001.12-abc.jsonl"
    begun.write_bytes(b"half a l")
    with opened_ledger(out, MANIFEST):
        assert not begun.exists()


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("model", "abd", "another model"),
        ("settings", {"conf": 0.5}, "conf was 0.25 and is 0.5"),
        ("save", ["parquet"], "another --save"),
        ("images", 3, "other images"),
    ],
)
def test_the_folder_of_another_run_is_refused(
    tmp_path: Path, name: str, value: object, words: str
) -> None:
    with opened_ledger(tmp_path / "out", MANIFEST):
        pass
    other = {**MANIFEST, name: value}
    with pytest.raises(UsageError, match=words), opened_ledger(tmp_path / "out", other):
        pass


def test_other_things_are_not_touched(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(UsageError, match="not empty"), opened_ledger(tmp_path, MANIFEST):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


def test_a_run_that_was_killed_before_it_began_is_no_hindrance(tmp_path: Path) -> None:
    (tmp_path / ".lock").touch()
    (tmp_path / ".manifest.7-ab.json").write_text("{")
    with opened_ledger(tmp_path, MANIFEST) as ledger:
        assert not ledger.done


def test_two_at_a_time_are_refused(tmp_path: Path) -> None:
    with (
        opened_ledger(tmp_path / "out", MANIFEST),
        pytest.raises(UsageError, match="another process"),
        opened_ledger(tmp_path / "out", MANIFEST),
    ):
        pass
    with opened_ledger(tmp_path / "out", MANIFEST):
        pass
