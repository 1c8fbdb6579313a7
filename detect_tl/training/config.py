"""What a training run can be told, checked in one place."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from detect_tl.core.errors import UsageError, did_you_mean
from detect_tl.core.model_spec import Task
from detect_tl.formats.options import ReadOptions

FreezeSpec = Literal["none", "backbone", "neck"] | int | tuple[int, ...]


def _freeze(value: object) -> object:
    """Accept numbers given as text, as a command line or an environment variable gives them."""
    if isinstance(value, str):
        parts = [part.strip() for part in value.split(",")]
        if all(part.isdigit() for part in parts):
            numbers = [int(part) for part in parts]
            return numbers[0] if len(numbers) == 1 else tuple(numbers)
    return tuple(value) if isinstance(value, list) else value


def _names(value: object) -> object:
    """Accept names given as one text, with commas between them, and none."""
    if value is None:
        return ()
    return tuple(part.strip() for part in value.split(",")) if isinstance(value, str) else value


OF_SOURCES: Mapping[str, Any] = {
    "from_format": None,
    "annotations": None,
    "columns": None,
    "follow_links": False,
    "also": (),
    "same": None,
    "replay": None,
}
"""What is said only of the sources of a data set, as it is where the folder has been written."""


class TrainConfig(BaseModel):
    """Every setting of a run, with its default. Unknown settings are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    data: Path = Field(description="raw annotations in any known format, or a dataset folder")
    also: tuple[Path, ...] = Field(
        (),
        description="more data sets: classes of the same name are one, and a class that one of"
        " them does not know is no background there",
    )
    same: dict[str, str] | None = Field(
        None, description="classes that become others, such as sedan=car; or a YAML file"
    )
    keep_classes: Annotated[tuple[str, ...], BeforeValidator(_names)] = Field(
        (), description="classes of the weights that the model goes on knowing: all, or names"
    )
    keep_by: Literal["branch", "distil"] = Field(
        "branch",
        description="branch: kept classes have their old layers, which stay as they are, and new"
        " classes get layers of their own behind the first ones; distil: both have the same layers,"
        " and what the old model answers to the pictures is learned beside the labels",
    )
    replay: Path | None = Field(
        None,
        description="with distil, labelled pictures of the kept classes, trained on beside the new"
        " ones: as many as the mean of both numbers",
    )
    yardstick: Path | None = Field(
        None,
        description="labelled pictures on which the kept classes are measured, before and after",
    )
    teacher: str | None = Field(
        None,
        description="name of weights, or a checkpoint file or run: what it answers to the pictures"
        " is learned beside the labels",
    )
    teach: float = Field(1.0, gt=0, description="weight of what teachers say beside the labels")
    weights: str = Field("yolo11n", description="name of official weights, or a checkpoint file")
    task: Literal["auto"] | Task = Field("auto", description="auto: segment when there are masks")
    strategy: str = Field(
        "auto",
        description="what trains when: auto, freeze, full, gradual, head, lp-ft, partial, scratch,"
        " or the name of a plug-in",
    )
    freeze: Annotated[FreezeSpec | None, BeforeValidator(_freeze)] = Field(
        None,
        description="what stays as it was: backbone, neck, none, or first N layers; None: as the"
        " strategy has it",
    )
    epochs: int = Field(
        50,
        ge=0,
        description="how often every training image is seen; 0: nothing trains, rows of new"
        " classes are imprinted and that is all",
    )
    imgsz: int = Field(640, ge=32, multiple_of=32, description="side of the input square, pixels")
    batch: int | None = Field(
        None, ge=1, description="images per step; None: 16, fewer for a small data set"
    )
    optimizer: Literal["auto", "AdamW", "SGD", "Adam"] = Field("auto", description="auto: AdamW")
    lr: float | None = Field(
        None, gt=0, le=1, description="base learning rate; None: by the number of classes"
    )
    patience: int = Field(100, ge=0, description="stop after so many epochs without a better mAP")
    amp: bool = Field(True, description="bfloat16 or float16 where the device has it")
    mosaic: float = Field(1.0, ge=0, le=1, description="probability of mosaic augmentation")
    close_mosaic: int = Field(10, ge=0, description="last epochs without mosaic")
    kin: Path | None = Field(
        None,
        description="YAML file that says which known class a new one is like, a line `sedan: car`"
        " each; None: a table about the classes of COCO",
    )
    imprint: bool = Field(
        True, description="rows of new classes begin with what their training objects look like"
    )
    views: int | None = Field(
        None,
        ge=1,
        description="augmented views of a picture of which frozen features are kept; None: one for"
        " two epochs, 3 to 8",
    )
    refresh: int | None = Field(
        None, ge=1, description="take new views after so many epochs; None: never"
    )
    cache_limit: float = Field(
        20.0,
        ge=0,
        description="GB of kept features, those of earlier runs among them; 0: keep none. With Ray"
        " also of data sets that were sent to a node, of which those in use always stay",
    )
    l2_sp: float = Field(
        0.0,
        ge=0,
        description="pull transferred weights towards where they began, in place of weight decay;"
        " 0.1 is usual",
    )
    soup: int | None = Field(
        None,
        ge=1,
        description="train so often from the same start, each time in an equal share of the"
        " epochs, and average the weights; None: once, or as auto decides",
    )
    measure_start: bool = Field(
        False, description="validate before the first step too, as epoch 0 of metrics.csv"
    )
    augment: str = Field(
        "ultralytics",
        description="ultralytics: its own; none; a name of `detect-tl augment list`, or a YAML"
        " file: in place of its colours, flips and blur, beside mosaic, scaling and shifting",
    )
    seed: int = Field(0, ge=0, description="of all that is random")
    device: str = Field("", description="cpu, mps, or a CUDA number; empty: the best there is")
    workers: int = Field(
        8,
        ge=0,
        description="loader processes; a CPU run needs none; with --engine ray, processes of the"
        " cluster that share every batch, by default one a GPU or else one a node",
    )
    trust: bool = Field(False, description="load a checkpoint that asks for unknown classes")
    from_format: str | None = Field(None, description="annotation format; None: recognised")
    annotations: str | None = Field(
        None, description="read only annotation files called like this; None: all"
    )
    columns: dict[str, str] | None = Field(
        None, description="what the columns of a CSV file hold, such as image=file,label=species"
    )
    follow_links: bool = Field(
        False, description="read also what lies behind links that lead out of the folder"
    )
    split: tuple[float, ...] | None = Field(
        None,
        description="train, val, test fractions; None: the source's own splits, else 0.8,0.1,0.1",
    )
    out: Path = Field(Path("runs/train"), description="run folder to write")

    @model_validator(mode="before")
    @classmethod
    def _take_apart(cls, values: Any) -> Any:
        """Accept several data sets as `data`."""
        data = values.get("data") if isinstance(values, Mapping) else None
        if not isinstance(data, list | tuple) or not data:
            return values
        first, *others = data
        return {**values, "data": first, "also": (*others, *(values.get("also") or ()))}

    @model_validator(mode="after")
    def _refuse_idle(self) -> TrainConfig:
        """Refuse what would have no effect."""
        if not self.keep_classes and (self.replay or self.yardstick):
            name = "replay" if self.replay else "yardstick"
            raise ValueError(f"{name} is about classes that are kept: name them with keep_classes")
        distils = bool(self.keep_classes) and self.keep_by == "distil"
        if self.keep_by == "distil" and not distils:
            raise ValueError("keep_by says how classes are kept: name them with keep_classes")
        if self.replay and not distils:
            raise ValueError("a branch forgets nothing, so it needs no replay: keep_by distil does")
        if self.teach != 1.0 and not (distils or self.teacher):
            raise ValueError("teach weighs what a teacher says: there is none")
        return self

    @property
    def branches(self) -> bool:
        """Whether kept classes have layers of their own."""
        return bool(self.keep_classes) and self.keep_by == "branch" and self.epochs > 0

    @property
    def reading(self) -> ReadOptions:
        """How `data` is read where it is raw annotations."""
        return ReadOptions(self.from_format, self.annotations, self.columns, self.follow_links)

    @classmethod
    def parse(cls, values: Mapping[str, Any]) -> TrainConfig:
        """Build from plain values; raise one UsageError that lists everything wrong with them."""
        try:
            return cls.model_validate(dict(values))
        except ValidationError as error:
            raise UsageError(_explain(error, list(cls.model_fields))) from error


def _explain(error: ValidationError, known: list[str]) -> str:
    lines = []
    for item in error.errors():
        name = str(item["loc"][0]) if item["loc"] else "configuration"
        if not item["loc"]:
            lines.append(str(item["ctx"]["error"]))
            continue
        if item["type"] == "extra_forbidden":
            lines.append(f"unknown setting {name!r} ({did_you_mean(name, known)})")
        else:
            lines.append(f"{name} is {item['input']!r}: {item['msg'].lower()}")
    return "; ".join(dict.fromkeys(lines))
