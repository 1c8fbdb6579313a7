"""BatchNorm statistics: against torch's own, and what must stay as it is."""

from __future__ import annotations

import copy
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from detect_tl.models.checkpoint import load_checkpoint
from detect_tl.training.adaptation.pictures import as_batch, some
from detect_tl.training.adaptation.statistics import batch_norms, measure, reestimate, share_of
from tests.training.conftest import small_checkpoint  # noqa: F401  # a fixture

BLOCKS = ("model.0.1", "model.1.1", "model.2.1")
"""The BatchNorm layers of `net`: those of two shallow blocks, and of a deep one."""


@pytest.fixture
def net() -> nn.Sequential:
    torch.manual_seed(1)
    blocks = [
        nn.Sequential(nn.Conv2d(a, b, 3), nn.BatchNorm2d(b), nn.SiLU())
        for a, b in ((3, 4), (4, 5), (5, 6))
    ]
    made = nn.Sequential(OrderedDict(model=nn.Sequential(*blocks))).eval()
    for _, layer in batch_norms(made):
        layer.running_mean.normal_(0, 0.3)
        layer.running_var.uniform_(0.5, 2)
    return made


@pytest.fixture
def pictures() -> torch.Tensor:
    return torch.rand((6, 3, 16, 20), generator=torch.Generator().manual_seed(2))


def test_all_of_the_new_ones_is_what_torch_finds_in_training(
    net: nn.Sequential, pictures: torch.Tensor
) -> None:
    theirs = copy.deepcopy(net).train()
    for _, layer in batch_norms(theirs):
        layer.momentum = 1.0  # keep nothing
    with torch.no_grad():
        theirs(pictures)
    deep = copy.deepcopy(net.state_dict())
    reestimate(net, pictures, 1.0)
    ours, other = dict(batch_norms(net)), dict(batch_norms(theirs))
    assert tuple(ours) == BLOCKS
    for name, count in zip(BLOCKS[:2], (6 * 14 * 18, 6 * 12 * 16), strict=True):
        torch.testing.assert_close(ours[name].running_mean, other[name].running_mean)
        # torch keeps the unbiased variance
        biased = other[name].running_var * (count - 1) / count
        torch.testing.assert_close(ours[name].running_var, biased)
    assert torch.equal(ours[BLOCKS[2]].running_mean, deep[f"{BLOCKS[2]}.running_mean"])


def test_a_share_lies_between(net: nn.Sequential, pictures: torch.Tensor) -> None:
    layer = dict(batch_norms(net))[BLOCKS[0]]
    own = layer.running_mean.clone()
    seen = measure(net, pictures)[BLOCKS[0]]
    reestimate(net, pictures, 0.25)
    torch.testing.assert_close(layer.running_mean, 0.75 * own + 0.25 * seen.mean)


@pytest.mark.parametrize("referred", [False, True])
def test_nothing_changes_but_running_statistics(
    net: nn.Sequential, pictures: torch.Tensor, referred: bool
) -> None:
    before = copy.deepcopy(net.state_dict())
    reference = measure(net, pictures) if referred else None
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())
    reestimate(net, 2 * pictures, 0.5, reference)
    changed = {name for name, value in net.state_dict().items() if not value.equal(before[name])}
    layers = BLOCKS if referred else BLOCKS[:2]
    assert changed == {f"{layer}.running_{kind}" for layer in layers for kind in ("mean", "var")}
    assert not net.training


def test_the_same_camera_changes_nothing_beside_its_reference(
    small_checkpoint: Path,  # noqa: F811
) -> None:
    model = load_checkpoint(small_checkpoint).model
    pictures = torch.rand((3, 3, 64, 64), generator=torch.Generator().manual_seed(3))
    before = copy.deepcopy(model.state_dict())
    reestimate(model, pictures, share_of(48), measure(model, pictures))
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_a_reference_takes_back_what_a_camera_adds(net: nn.Sequential) -> None:
    """Brighter pictures of more contrast then go through the first layers as the old ones did."""
    old = torch.rand((8, 3, 16, 16), generator=torch.Generator().manual_seed(4))
    new = 1.7 * old + 0.2
    with torch.no_grad():
        wanted = net(old)
        reference = measure(net, old)
        before = (net(new) - wanted).abs().max()
        reestimate(net, new, 1.0, reference)
        assert (net(new) - wanted).abs().max() < before / 100


def test_more_pictures_weigh_more() -> None:
    shares = [share_of(n) for n in (0, 16, 48)]
    assert shares == [0, 0.5, 0.75]


def test_a_batch_has_no_grey_border(tmp_path: Path) -> None:
    """What lies beside a picture is its mirror image."""
    ramp = np.repeat(np.arange(0, 200, 5, dtype=np.uint8)[:, None], 80, axis=1)  # 40 high, 80 wide
    Image.fromarray(np.stack([ramp] * 3, axis=2)).save(tmp_path / "a.png")
    batch = as_batch([tmp_path / "a.png"], 80)
    assert batch.shape == (1, 3, 80, 80)
    rows = (batch[0, 0] * 255).round().to(torch.uint8)[:, 0].numpy()
    assert rows[20:60].tolist() == ramp[:, 0].tolist()
    assert rows[:20].tolist() == ramp[:20, 0][::-1].tolist()
    assert rows[60:].tolist() == ramp[20:, 0][::-1].tolist()


def test_some_are_chosen_by_the_seed_in_their_order() -> None:
    chosen = some(range(100), 10, 3)
    assert chosen == sorted(chosen) == some(range(100), 10, 3)
    assert chosen != some(range(100), 10, 4)
    assert some(range(4), 10, 0) == [0, 1, 2, 3]
