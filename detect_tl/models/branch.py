"""Two models that share their first layers, as one: all that both find, for the rest of both.

A YOLO model is a list of layers, and its head reads some of them, level by level. So there may be
a second branch behind the shared layers, whose maps are further levels of the same head. Not a bit
of the first branch changes, whatever the second one learns. The result is an ordinary model of
Ultralytics, and answers in the usual form, with more anchors.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from copy import deepcopy
from typing import Any

import torch
from torch import nn

from detect_tl.core.errors import WeightsError
from detect_tl.models.checkpoint import Checkpoint
from detect_tl.models.yolo import build_model

# A logit of no object: .00001, less than any threshold. A lower one would cost quantized logits
# their resolution.
_NEVER = -12.0

_BOX_BRANCHES = ("cv2", "one2one_cv2")
_CLASS_BRANCHES = ("cv3", "one2one_cv3")


def joined(first: Checkpoint, second: Checkpoint, *, shared: int, learned: Collection[str]) -> Any:
    """One model with the layers of both, in evaluation mode.

    shared: how many layers, from the first one on, are the same in both; 1 at least. learned: the
    classes that the second one answers for; all others that it has by name are answered by the
    first one alone. Its classes are those of the second one.

    Raises WeightsError for models that cannot be joined.
    """
    _refuse_what_cannot(first, second, shared)
    model = build_model(
        branched_config(first.yaml, shared), "detect", class_count=len(second.names)
    )
    layers, ours, theirs = (list(m.model) for m in (model, first.model, second.model))
    sources = [*ours[:-1], *theirs[shared:-1]]
    for layer, source in zip(layers[:-1], sources, strict=True):
        layer.load_state_dict(source.state_dict())
    rows = {name: row for row, name in enumerate(first.names) if name not in learned}
    kept = [rows.get(name) for name in second.names]
    new = [row if name in learned else None for row, name in enumerate(second.names)]
    _fill_head(layers[-1], ours[-1], theirs[-1], kept, new)
    model.names = dict(enumerate(second.names))
    return model.eval()


def branched_config(config: Mapping[str, Any], shared: int) -> dict[str, Any]:
    """The configuration of a model with a second branch behind its first `shared` layers.

    config: see `architecture_problem`.
    """
    branched = deepcopy(dict(config))
    rows = [*config["backbone"], *config["head"]]
    moved = len(rows) - 1 - shared
    copies = []
    for index in range(shared, len(rows) - 1):
        sources, *rest = deepcopy(rows[index])
        copies.append([_moved(sources, index, shared, moved), *rest])
    levels, *rest = deepcopy(rows[-1])
    levels = [level if level >= 0 else len(rows) - 1 + level for level in levels]
    head = [[*levels, *_moved(levels, len(rows) - 1, shared, moved)], *rest]
    branched["head"] = [*branched["head"][:-1], *copies, head]
    return branched


def branches(model: Any) -> int:
    """How many branches end in the head of a model."""
    strides = [float(stride) for stride in model.model[-1].stride]
    return strides.count(strides[0])


def _moved(sources: Any, index: int, shared: int, by: int) -> Any:
    """What a copied layer reads: a layer of its own branch, or a shared one."""
    given = [sources] if isinstance(sources, int) else sources
    absolute = [source if source >= 0 else index + source for source in given]
    found = [source + by if source >= shared else source for source in absolute]
    return found[0] if isinstance(sources, int) else found


def _fill_head(
    head: Any, ours: Any, theirs: Any, kept: Sequence[int | None], new: Sequence[int | None]
) -> None:
    """kept, new: for every class the row that answers for it in either branch; None: no row."""
    for name in (*_BOX_BRANCHES, *_CLASS_BRANCHES):
        if getattr(head, name, None) is None:
            continue
        sides = [list(getattr(side, name)) for side in (ours, theirs)]
        if name in _CLASS_BRANCHES:
            sides = [
                [_with_rows(level, rows) for level in side]
                for side, rows in zip(sides, (kept, new), strict=True)
            ]
        levels = nn.ModuleList(deepcopy(level) for side in sides for level in side)
        setattr(head, name, levels)


def _with_rows(level: nn.Module, rows: Sequence[int | None]) -> nn.Module:
    """The layers of a level, with other class rows at their end."""
    copy: Any = deepcopy(level)
    last = copy[-1]
    made = nn.Conv2d(last.in_channels, len(rows), 1)
    made.to(last.weight.dtype).requires_grad_(bool(last.weight.requires_grad))
    with torch.no_grad():
        made.weight.zero_()
        made.bias.fill_(_NEVER)
        here = [row for row, source in enumerate(rows) if source is not None]
        there = [source for source in rows if source is not None]
        made.weight[here] = last.weight[there]
        made.bias[here] = last.bias[there]
    copy[-1] = made
    result: nn.Module = copy
    return result


def _refuse_what_cannot(first: Checkpoint, second: Checkpoint, shared: int) -> None:
    for checkpoint in (first, second):
        if checkpoint.task != "detect":
            raise WeightsError(
                "is a segmenter, whose masks are made of one map only, so no second branch of"
                " layers can be put beside its own",
                path=checkpoint.path,
                hint="Keep old classes with --keep-by distil.",
            )
    ours, theirs = (list(checkpoint.model.model)[:-1] for checkpoint in (first, second))
    common = zip(ours[:shared], theirs[:shared], strict=False)
    if not 1 <= shared <= min(len(ours), len(theirs)) or not all(_equal(*pair) for pair in common):
        raise WeightsError(
            f"does not share its first {shared} layers with {first.path}", path=second.path
        )


def _equal(one: nn.Module, other: nn.Module) -> bool:
    """Whether two layers hold the same numbers, to the bit."""
    a, b = one.state_dict(), other.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)
