"""A plan accounts for every tensor, and refuses transfers that would be one in name only."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings, strategies as st

from detect_tl.core.errors import WeightsError
from detect_tl.transfer.plan import Shapes, plan_transfer

HEAD = 2
CLASS_ROWS = (f"model.{HEAD}.cv3.0.2.weight", f"model.{HEAD}.cv3.0.2.bias")


def small_model(classes: int, *, width: int = 8, hidden: int = 8) -> dict[str, tuple[int, ...]]:
    """A model of two layers and a head, named as Ultralytics names them."""
    shapes: dict[str, tuple[int, ...]] = {}
    for layer in range(HEAD):
        shapes[f"model.{layer}.conv.weight"] = (width, width if layer else 3, 3, 3)
        for part in ("weight", "bias", "running_mean", "running_var"):
            shapes[f"model.{layer}.bn.{part}"] = (width,)
        shapes[f"model.{layer}.bn.num_batches_tracked"] = ()
    shapes[f"model.{HEAD}.cv2.0.2.weight"] = (64, width, 1, 1)
    shapes[f"model.{HEAD}.cv3.0.1.conv.weight"] = (hidden, width, 3, 3)
    shapes[CLASS_ROWS[0]] = (classes, hidden, 1, 1)
    shapes[CLASS_ROWS[1]] = (classes,)
    shapes[f"model.{HEAD}.dfl.conv.weight"] = (1, 16, 1, 1)
    return shapes


NAMES = st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=6, unique=True)


@settings(max_examples=60)
@given(NAMES, NAMES)
def test_every_tensor_has_one_fate(source_names: list[str], target_names: list[str]) -> None:
    source, target = small_model(len(source_names)), small_model(len(target_names))
    plan = plan_transfer(source, target, source_names=source_names, target_names=target_names)
    assert [tensor.name for tensor in plan.tensors] == list(target)
    assert sum(len(plan.of(fate)) for fate in ("copied", "remapped", "new")) == len(target)
    assert all(source[tensor.name] == tensor.shape for tensor in plan.of("copied"))
    assert all(tensor.reason for tensor in plan.tensors if tensor.fate != "copied")
    taken = {tensor.name for tensor in plan.tensors if tensor.fate != "new"}
    assert {tensor.name for tensor in plan.skipped} == set(source) - taken
    assert json.loads(json.dumps(plan.as_json()))["tensors"].keys() == target.keys()


@settings(max_examples=60)
@given(NAMES, NAMES)
def test_class_rows_follow_names(source_names: list[str], target_names: list[str]) -> None:
    plan = plan_transfer(
        small_model(len(source_names)),
        small_model(len(target_names)),
        source_names=source_names,
        target_names=target_names,
    )
    fates = {tensor.name: tensor for tensor in plan.tensors}
    shared = [name for name in target_names if name in source_names]
    for name in CLASS_ROWS:
        fate = fates[name]
        if source_names == target_names:
            assert fate.fate == "copied"
        else:
            assert fate.fate == ("remapped" if shared else "new")
            assert [target_names[here] for here, _ in fate.rows] == shared
            assert [source_names[there] for _, there in fate.rows] == shared


def test_same_number_of_other_classes_is_not_a_match() -> None:
    """Three cats for three cars: the shapes fit, the rows mean something else."""
    shapes = small_model(3)
    plan = plan_transfer(shapes, shapes, source_names=("x", "y", "z"), target_names=("a", "b", "c"))
    assert [tensor.name for tensor in plan.of("new")] == list(CLASS_ROWS)


@pytest.mark.parametrize("names", [(), ("0", "1", "2")])
def test_without_names_rows_go_by_position(names: tuple[str, ...]) -> None:
    shapes = small_model(3)
    plan = plan_transfer(shapes, shapes, source_names=names, target_names=("a", "b", "c"))
    assert plan.of("new") == []
    assert plan.as_json()["classes"]["matched_by"] == "position"


def test_a_class_branch_of_another_width_is_new_and_says_so() -> None:
    plan = plan_transfer(
        small_model(80, hidden=80),
        small_model(1, hidden=8),
        source_names=[f"c{i}" for i in range(80)],
        target_names=["c7"],
    )
    fates = {tensor.name: tensor for tensor in plan.tensors}
    assert fates[CLASS_ROWS[0]].reason == "its class branch is 8 wide, the source's 80"
    assert fates[CLASS_ROWS[1]].fate == "new"


def test_counters_of_batchnorm_stay_with_their_statistics() -> None:
    source = small_model(3)
    target = source | {"model.1.bn.running_mean": (9,)}
    plan = plan_transfer(source, target, minimum=0)
    fates = {tensor.name: tensor.fate for tensor in plan.tensors}
    assert fates["model.1.bn.num_batches_tracked"] == "new"
    assert fates["model.0.bn.num_batches_tracked"] == "copied"


@pytest.mark.parametrize(
    ("layers", "until"), [((0,), "end"), ({0: 3}, 3), ({0: None}, "end"), ({0: 0}, 0)]
)
def test_frozen_layers_say_until_when(layers: object, until: object) -> None:
    shapes = small_model(3)
    plan = plan_transfer(shapes, shapes, frozen_layers=layers)  # type: ignore[arg-type]
    for tensor in plan.tensors:
        constant = ".dfl." in tensor.name
        expected = "end" if constant else until if tensor.name.startswith("model.0.") else None
        assert tensor.frozen_until == expected


def refuse(source: Shapes, target: Shapes, **more: object) -> str:
    with pytest.raises(WeightsError) as caught:
        plan_transfer(source, target, **more)  # type: ignore[arg-type]
    assert caught.value.hint
    return caught.value.message


def test_another_scale_is_refused() -> None:
    message = refuse(small_model(3), small_model(3, width=16))
    assert "another family or scale" in message


def test_a_fused_checkpoint_is_refused() -> None:
    fused = {name: shape for name, shape in small_model(3).items() if ".bn." not in name}
    assert "fused for inference" in refuse(fused, small_model(3))


def test_random_values_are_not_frozen() -> None:
    source = small_model(3)
    missing = {n: s for n, s in source.items() if not n.startswith("model.1.bn.")}
    assert "model.1.bn.weight" in refuse(missing, source, frozen_layers=(1,))
    names = {"source_names": ("a", "b", "c"), "target_names": ("a", "b", "d")}
    assert "cv3" in refuse(source, source, frozen_layers=(HEAD,), **names)


def test_a_partial_fit_is_said() -> None:
    source = small_model(3)
    target = source | {"model.1.extra.conv.weight": (8, 8, 1, 1)}
    plan = plan_transfer(source, target)
    assert 0.5 < plan.fit < 1
    assert "only" in plan.summary()[1]
    assert "only" not in plan_transfer(source, source).summary()[1]


def test_the_summary_groups_what_it_says() -> None:
    names = [f"c{i}" for i in range(80)]
    plan = plan_transfer(
        small_model(80),
        small_model(3),
        source_names=names,
        target_names=["RBC", "WBC", "c3"],
        frozen_layers=(0,),
    )
    assert plan.summary() == [
        "17 of 17 tensors transferred",
        "2 remapped: class rows of c3 reused, of RBC, WBC new",
        "7 frozen: until the end",
    ]
