"""BatchNorm statistics: against torch's own, and what must stay as it is."""

from __future__ import annotations

import copy
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


@pytest.fixture
def net() -> nn.Sequential:
    torch.manual_seed(1)
    layers = (
        nn.Conv2d(3, 4, 3),
        nn.BatchNorm2d(4),
        nn.SiLU(),
        nn.Conv2d(4, 5, 3),
        nn.BatchNorm2d(5),
    )
    made = nn.Sequential(*layers).eval()
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
    reestimate(net, pictures, 1.0)
    for (_, ours), (_, other) in zip(batch_norms(net), batch_norms(theirs), strict=True):
        torch.testing.assert_close(ours.running_mean, other.running_mean)
        # torch keeps the unbiased variance
        count = pictures.shape[0] * {4: 14 * 18, 5: 12 * 16}[ours.num_features]
        torch.testing.assert_close(ours.running_var, other.running_var * (count - 1) / count)


def test_a_share_of_the_first_layer_lies_between(
    net: nn.Sequential, pictures: torch.Tensor
) -> None:
    own = net[1].running_mean.clone()
    seen = measure(net, pictures)["1"]
    reestimate(net, pictures, 0.25)
    torch.testing.assert_close(net[1].running_mean, 0.75 * own + 0.25 * seen.mean)


@pytest.mark.parametrize("referred", [False, True])
def test_nothing_changes_but_running_statistics(
    net: nn.Sequential, pictures: torch.Tensor, referred: bool
) -> None:
    before = copy.deepcopy(net.state_dict())
    reference = measure(net, pictures) if referred else None
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())
    reestimate(net, 2 * pictures, 0.5, reference)
    changed = {name for name, value in net.state_dict().items() if not value.equal(before[name])}
    assert changed == {f"{layer}.running_{kind}" for layer in (1, 4) for kind in ("mean", "var")}
    reestimate(net, pictures, 0.0)
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
        assert (net(new) - wanted).abs().max() > 0.1
        reestimate(net, new, 1.0, reference)
        torch.testing.assert_close(net(new), wanted, atol=1e-3, rtol=1e-3)


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
