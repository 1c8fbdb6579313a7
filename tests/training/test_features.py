"""What is kept of frozen layers: what a view is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from detect_tl.training.cache import FeatureCache
from detect_tl.training.features import Budget, FeatureBatches, FeatureViews


class Pictures:
    """A data set as Ultralytics has it, whose pictures say which one they are."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> dict[str, Any]:
        image = torch.full((3, 8, 8), index, dtype=torch.uint8)
        image[1] = int(torch.randint(256, ()))
        boxes = torch.full((index % 3, 4), float(index))
        return {"img": image, "bboxes": boxes, "batch_idx": torch.zeros(len(boxes))}

    @staticmethod
    def collate_fn(samples: list[dict[str, Any]]) -> dict[str, Any]:
        for place, sample in enumerate(samples):
            sample["batch_idx"] += place  # in place, as Ultralytics does
        names = ("bboxes", "batch_idx")
        return {name: torch.cat([sample[name] for sample in samples]) for name in names}


class Loader:
    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return (len(self.dataset) + 1) // 2


def front(images: torch.Tensor) -> dict[int, torch.Tensor]:
    return {4: images[:, :2, ::2, ::2] * 255, 6: images[:, :1, ::4, ::4] * 255}


def views_of(
    dataset: Any,
    work: Callable[..., Any] = front,
    folder: Path | None = None,
    **more: Any,
) -> FeatureViews:
    cache = FeatureCache(folder)
    cpu = torch.device("cpu")
    settings = {"key": "a", "seed": 3, "batch": 2, "device": cpu, "dtype": torch.bfloat16, **more}
    return FeatureViews(lambda _: dataset, work, cache, **settings)


@pytest.mark.parametrize("disk", [0, 1 << 20])
def test_batches_hold_what_the_frozen_layers_answered_to_their_pictures(
    tmp_path: Path, disk: int
) -> None:
    dataset = Pictures(5)
    kept = views_of(dataset, folder=tmp_path)
    assert kept.plan(3, (8, 8), Budget(1 << 20, disk)) == 3
    for _ in range(2):  # nothing changes by being used
        batches = list(FeatureBatches(kept.view(0), Loader(dataset), 2, seed=1))
        assert [len(batch["img"]) for batch in batches] == [2, 2, 1]
        seen = []
        for batch in batches:
            assert batch["img"].shape[1:] == (3, 8, 8)
            which = batch["maps"][6][:, 0, 0, 0].int().tolist()
            assert batch["maps"][4][:, 0, 0, 0].int().tolist() == which
            expected = [(place, w) for place, w in enumerate(which) for _ in range(w % 3)]
            assert (
                list(
                    zip(
                        batch["batch_idx"].int().tolist(),
                        batch["bboxes"][:, 0].int().tolist(),
                        strict=True,
                    )
                )
                == expected
            )
            seen += which
        assert sorted(seen) == [0, 1, 2, 3, 4]


def test_even_batches_lose_no_picture_and_add_none_to_a_view() -> None:
    asked: list[int] = []

    def work(images: torch.Tensor) -> dict[int, torch.Tensor]:
        asked.append(len(images))
        return front(images)

    dataset = Pictures(5)
    view = views_of(dataset, work, even=True).view(0)
    assert asked == [2, 2, 2]
    assert torch.equal(view.maps[4], views_of(dataset).view(0).maps[4])
    loader = Loader(dataset)
    batches = list(FeatureBatches(view, loader, 2, seed=1, even=True))
    assert len(batches) == len(loader)
    seen = [batch["maps"][6][:, 0, 0, 0].int().tolist() for batch in batches]
    assert [len(pictures) for pictures in seen] == [2, 2, 2]
    assert seen[-1][1] == seen[0][0]  # the first one fills the last batch
    assert {picture for pictures in seen for picture in pictures} == {0, 1, 2, 3, 4}
    # what is less than a batch stays so
    (few,) = FeatureBatches(view, loader, 8, seed=1, even=True)
    assert len(few["img"]) == 5


def test_the_first_of_so_many_views_is_no_other_one(tmp_path: Path) -> None:
    """With a refresh, number 2 is the first view again where there are two, and not of three."""
    answers = []
    for count in (2, 3):
        kept = views_of(Pictures(4), folder=tmp_path)
        pictures = {True: Pictures(4), False: Pictures(6)}
        kept._dataset_of = lambda number, of=pictures, n=count: of[number % n == 0]
        kept.plan(1, (8, 8), Budget(0, 1 << 20))
        kept.count = count
        answers.append(len(kept.view(2).labels))
    assert answers == [4, 6]


def test_a_view_depends_on_its_number_and_the_seed_alone() -> None:
    first, second = views_of(Pictures(4)), views_of(Pictures(4))
    first.view(0)
    torch.rand(100)
    a, b = first.view(1).maps[4], second.view(1).maps[4]
    assert torch.equal(a, b)
    assert not torch.equal(a, first.view(0).maps[4])


def test_a_view_has_pictures_of_its_size_and_is_none_of_another_size(tmp_path: Path) -> None:
    shapes = []
    for first in (0.5, 1.0):
        kept = views_of(
            Pictures(4), folder=tmp_path, size_of=lambda k, f=first: (f, 1.0)[k], stride=2
        )
        kept.plan(2, (8, 8), Budget(0, 1 << 20))
        shapes += [(kept.view(k).shape, tuple(kept.view(k).maps[4].shape)) for k in (0, 1)]
    small, large = ((4, 4), (4, 2, 2, 2)), ((8, 8), (4, 4, 4, 2))
    assert shapes == [small, large, large, large]
    assert len(list(tmp_path.rglob("4.maps"))) == 3  # the last view is the same one


def test_a_view_is_computed_once() -> None:
    asked: list[int] = []

    def work(images: torch.Tensor) -> dict[int, torch.Tensor]:
        asked.append(len(images))
        return front(images)

    kept = views_of(Pictures(5), work)
    kept.view(0)
    kept.view(0)
    assert asked == [2, 2, 1]


@pytest.mark.parametrize(
    ("memory", "disk", "near", "expected"),
    [
        (1000, 0, False, (4, True)),
        (1000, 1000, False, (4, False)),  # a file is found again
        (1000, 1000, True, (4, True)),
        (9000, 350, False, (3, False)),  # fewer in the better place go before more in the other
        (9000, 150, False, (4, True)),
        (350, 9000, True, (3, True)),
        (120, 150, False, (1, False)),
        (50, 90, True, (0, False)),
    ],
)
def test_the_budget_is_never_exceeded(
    memory: int, disk: int, near: bool, expected: tuple[int, bool]
) -> None:
    views, held = Budget(memory, disk, near).views(4, 100)
    assert (views, held) == expected
    assert views * 100 <= (memory if held else disk)


def test_a_limit_bounds_both(tmp_path: Path) -> None:
    budget = Budget.of_this_machine(torch.device("cpu"), FeatureCache(tmp_path / "a" / "b", 1000))
    assert (budget.memory, budget.disk) == (1000, 1000)
