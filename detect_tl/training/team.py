"""Several processes that train one model, each on its share of every batch.

They make the steps that one process with the whole batch would make: a loss is divided by what the
shares hold together, and gradients are added up. This is not torch's DistributedDataParallel, which
wants to know once and for all what trains; here that changes from stage to stage.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed, nn

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Team:
    """The place of this process among those that train together; they talk over the process group
    of torch that is open.

    rank: from 0 to `size` - 1; the first one leads: it alone validates and writes. local_rank,
    local_size: the same among those on this machine.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1

    @property
    def alone(self) -> bool:
        return self.size == 1

    @property
    def leads(self) -> bool:
        return self.rank == 0

    def __str__(self) -> str:
        return f"{self.rank} of {self.size}"

    def share(self, rows: Sequence[int]) -> list[int]:
        """Those of `rows` that are this one's.

        All get equally many, so where rows do not divide some of the first are had twice.
        """
        whole = [*rows, *islice(cycle(rows), -len(rows) % self.size)]
        return whole[self.rank :: self.size]

    def share_of(self, dataset: Any) -> Any:
        """The part of a data set that is always this one's."""
        if self.alone:
            return dataset
        return torch.utils.data.Subset(dataset, self.share(range(len(dataset))))

    def divide(self, loader: Any) -> None:
        """Let a loader of Ultralytics, which is the same in all, give this one's share."""
        if self.alone:
            return
        batches = loader.batch_sampler  # repeats those of its own sampler for ever
        batches.sampler = Shares(batches.sampler, self)
        # the processes of a loader begin with the same seed everywhere
        plain, rank = loader.worker_init_fn, self.rank
        loader.worker_init_fn = lambda number: _seed_apart(plain, number, rank)
        loader.reset()

    # -- agreeing ----------------------------------------------------------------------------

    def all(self, value: T) -> list[T]:
        """What each of them says, by rank."""
        if self.alone:
            return [value]
        found: list[Any] = [None] * self.size
        distributed.all_gather_object(found, value)
        return found

    def as_leader(self, value: T) -> T:
        """What the leader says."""
        return self.all(value)[0]

    def mean(self, values: Mapping[str, Any]) -> dict[str, float]:
        """The means over all of numbers by name."""
        said = self.all({name: float(value) for name, value in values.items()})
        return {name: sum(each[name] for each in said) / self.size for name in values}

    @contextmanager
    def in_turn(self) -> Iterator[None]:
        """The leader goes first, then the first one on every other machine, then the rest.

        For what writes files that those who come later read.
        """
        turn = 0 if self.leads else 1 if self.local_rank == 0 else 2
        for _ in range(0 if self.alone else turn):
            distributed.barrier()
        yield
        for _ in range(0 if self.alone else 2 - turn):
            distributed.barrier()

    # -- computing ---------------------------------------------------------------------------

    def divisor(self, own: Tensor, least: float = 1.0) -> Tensor:
        """What a sum over this one's share is divided by, of which `own` is the share's size.

        With the mean of all shares, the mean of the quotients is the quotient of the whole batch.
        least: what the whole is at least divided by.
        """
        if self.alone:
            return own.clamp(min=least)
        whole = own.detach().clone()
        distributed.all_reduce(whole)
        return whole.clamp(min=least) / self.size

    def same(self, tensors: Mapping[str, Tensor]) -> None:
        """Fill tensors with the leader's: machines differ in their last bits."""
        if self.alone:
            return
        for value in tensors.values():
            distributed.broadcast(value, src=0)

    def join(self, model: nn.Module) -> None:
        """Add up all gradients, and average the statistics of BatchNorm where they move.

        Afterwards they are the same to the bit everywhere.
        """
        if self.alone:
            return
        trains = [p for p in model.parameters() if p.requires_grad]
        moving = list(_moving(model))
        has = torch.tensor([p.grad is not None for p in trains], device=trains[0].device)
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in trains]
        parts = [has, *gradients, *(value / self.size for value in moving)]
        flat = torch.cat([part.reshape(-1).float() for part in parts])
        distributed.all_reduce(flat)
        sums = flat.split([part.numel() for part in parts])
        used = sums[0].tolist()
        for parameter, there, total in zip(trains, used, sums[1:], strict=False):
            # what no share of the batch has used stays without one, as it does in one process
            gradient = total.view(parameter.shape).to(parameter.dtype)
            parameter.grad = gradient if there else None
        for value, total in zip(moving, sums[1 + len(trains) :], strict=True):
            value.copy_(total.view(value.shape))


class Shares:
    """The shares of one member of a team of batches of numbers of pictures."""

    def __init__(self, batches: Any, team: Team) -> None:
        self._batches = batches
        self._team = team

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[list[int]]:
        return map(self._team.share, self._batches)


def _moving(model: nn.Module) -> Iterator[Tensor]:
    """Statistics of the norms that train; those of frozen ones are the same everywhere."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d) and module.training:
            for value in (module.running_mean, module.running_var):
                if value is not None:
                    yield value


def _seed_apart(plain: Any, number: int, rank: int) -> None:
    torch.manual_seed(torch.initial_seed() + 7919 * rank)
    plain(number)
