"""Laws of shards: together they are the source, whatever their size and whatever is done."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from detect_tl.core.errors import DataError
from detect_tl.scale.images import Images, images_of, survey
from detect_tl.scale.shards import shard_size, shards_left


@pytest.fixture(scope="module")
def listed(tmp_path_factory: pytest.TempPathFactory) -> Images:
    path = tmp_path_factory.mktemp("list") / "list.txt"
    path.write_text("".join(f"http://host/{k}.jpg\n" for k in range(57)))
    return images_of(path)


@given(size=st.integers(1, 70), done=st.sets(st.integers(0, 60)))
def test_what_is_left_is_all_but_what_is_done(listed: Images, size: int, done: set[int]) -> None:
    everything = list(listed)
    left = list(shards_left(listed, size, done, survey(listed).sha256))
    for shard in left:
        assert shard.places == everything[shard.first : shard.first + size]
        assert shard.first == shard.number * size
    numbers = range(-(-len(everything) // size))
    assert [shard.number for shard in left] == [k for k in numbers if k not in done]


def test_a_source_that_changes_while_it_is_read_is_refused(listed: Images) -> None:
    before = survey(listed).sha256
    other = Images(listed.source, limit=56)
    with pytest.raises(DataError, match="changed while they were read"):
        list(shards_left(other, 10, frozenset(), before))


@given(count=st.integers(1, 10**9))
def test_shards_are_neither_tiny_nor_endless(count: int) -> None:
    size = shard_size(count)
    assert 16 <= size <= 1000
    assert size == 1000 or -(-count // size) <= 272


def test_the_size_does_not_shrink() -> None:
    sizes = [shard_size(count) for count in range(1, 300_000, 97)]
    assert sizes == sorted(sizes)
