"""What the service says of itself in OpenAPI."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from detect_tl.web.engine import MOST_DETECTIONS


class Query(BaseModel):
    """Settings of one request; what is left out is as the service was started with."""

    model_config = ConfigDict(extra="forbid")

    conf: float | None = Field(
        None, ge=0, le=1, allow_inf_nan=False, description="Scores must be above it."
    )
    iou: float | None = Field(
        None,
        ge=0,
        le=1,
        allow_inf_nan=False,
        description="Overlap from which two boxes of a class are one.",
    )
    classes: str | None = Field(
        None,
        min_length=1,
        max_length=4000,
        description="Classes to keep, by name or number, with commas between them.",
    )
    max_det: int | None = Field(
        None, ge=1, le=MOST_DETECTIONS, description="Most objects in a picture."
    )
    masks: bool = Field(True, description="Give masks, where the model has any.")
    annotated: bool = Field(False, description="Give the picture with all drawn on it, as JPEG.")


class RunLengths(BaseModel):
    """A mask as COCO's compressed run lengths."""

    size: list[int] = Field(min_length=2, max_length=2, description="Height and width.")
    counts: str


class Detection(BaseModel):
    class_: str = Field(alias="class")
    class_id: int = Field(ge=0)
    score: float = Field(ge=0, le=1)
    xyxy: list[float] = Field(
        min_length=4, max_length=4, description="Left, top, right, bottom in pixels."
    )
    mask: RunLengths | None = None


class Prediction(BaseModel):
    """What was found on one picture, in pixels of the picture as a person sees it."""

    frame: int
    time: float
    name: str
    width: int = Field(ge=1)
    height: int = Field(ge=1)
    detections: list[Detection]


class Problem(BaseModel):
    detail: str = Field(description="One sentence for people.")


class Health(BaseModel):
    status: str


class ModelClass(BaseModel):
    id: int
    name: str
    colour: str


class Model(BaseModel):
    """The model, the settings that requests start from, and the limits."""

    name: str
    task: str
    imgsz: list[int] = Field(description="Height and width of its input.")
    dynamic: bool
    classes: list[ModelClass]
    conf: float | dict[str, float]
    iou: float
    max_det: int
    max_bytes: int
    max_pixels: int


PICTURE_TYPES = ("image/jpeg", "image/png", "image/webp", "image/bmp", "image/tiff")

_BINARY = {"type": "string", "format": "binary"}

PREDICT_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            **{kind: {"schema": _BINARY} for kind in PICTURE_TYPES},
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {"file": _BINARY},
                }
            },
        },
    }
}

_REASONS = {
    400: "The form is broken, or has no file.",
    401: "The token is missing or wrong.",
    403: "The request comes from the page of another site.",
    408: "The request did not arrive in time.",
    413: "Too many bytes, or too many pixels.",
    415: "No picture of a known kind.",
    421: "The service does not answer to that name.",
    422: "A damaged picture, or a setting out of range.",
    429: "Too many requests.",
    503: "All places are taken.",
}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The answers that are no success, as FastAPI wants them."""
    return {status: {"model": Problem, "description": _REASONS[status]} for status in statuses}


class LiveSettings(BaseModel):
    """What a live client may set."""

    model_config = ConfigDict(extra="forbid")

    conf: float | None = Field(None, ge=0, le=1, allow_inf_nan=False)
    classes: list[int] | None = Field(None, max_length=100_000)
    masks: bool = True


def in_words(errors: Sequence[Mapping[str, Any]]) -> str:
    """What pydantic found wrong, in a sentence, without what the client sent."""
    first = errors[0]
    where = ".".join(str(part) for part in first["loc"] if part not in ("query", "body"))
    return f"{where or 'the settings'}: {str(first['msg']).lower()}."
