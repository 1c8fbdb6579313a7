"""What an evaluation found, as plain values that print, serialise and compare."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detect_tl.core.findings import Finding

_MOST_MISSING = 10
"""Classes without objects that have a row each in a table."""


@dataclass(frozen=True, slots=True)
class ClassScores:
    """One class. `ap` and `ap50` are None where the truth has no object of it to find.

    images, objects: how many images hold one, and how many there are; crowds are not counted.
    """

    name: str
    images: int
    objects: int
    ap: float | None
    ap50: float | None


@dataclass(frozen=True, slots=True)
class Scores:
    """Average precision and recall of boxes, or of masks, all in [0, 1].

    map50_95: mean over the classes that have truth and over the IoU thresholds .50, .55, …, .95.
    map50, map75: the same at one threshold.
    small, medium, large: map50_95 over objects below 32², up to 96², and above 96² square pixels.
    ar: mean of the highest recall over classes and thresholds.
    None where there is nothing to average over.
    """

    map50_95: float | None
    map50: float | None
    map75: float | None
    small: float | None
    medium: float | None
    large: float | None
    ar: float | None
    per_class: tuple[ClassScores, ...]

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Scores:
        """The inverse of `as_json`."""
        return cls(
            map50_95=value["mAP50-95"],
            map50=value["mAP50"],
            map75=value["mAP75"],
            small=value["mAP50-95_small"],
            medium=value["mAP50-95_medium"],
            large=value["mAP50-95_large"],
            ar=value["AR"],
            per_class=tuple(
                ClassScores(name, row["images"], row["objects"], row["mAP50-95"], row["mAP50"])
                for name, row in value["per_class"].items()
            ),
        )

    def as_json(self) -> dict[str, Any]:
        return {
            "mAP50-95": self.map50_95,
            "mAP50": self.map50,
            "mAP75": self.map75,
            "mAP50-95_small": self.small,
            "mAP50-95_medium": self.medium,
            "mAP50-95_large": self.large,
            "AR": self.ar,
            "per_class": {
                c.name: {
                    "mAP50-95": c.ap,
                    "mAP50": c.ap50,
                    "images": c.images,
                    "objects": c.objects,
                }
                for c in self.per_class
            },
        }


@dataclass(frozen=True, slots=True)
class Metrics:
    """The result of `evaluate`.

    box: scores of the boxes; mask: scores of the masks, None for a box detector.
    images, objects, crowds: what the truth holds; crowds are ignored regions, not objects.
    detections: how many were scored.
    findings: classes that only one side knows, objects without a mask, and the like.
    """

    box: Scores
    mask: Scores | None
    images: int
    objects: int
    crowds: int
    detections: int
    findings: tuple[Finding, ...] = ()

    @property
    def main(self) -> Scores:
        """The scores that the model was built for: masks where there are any, else boxes."""
        return self.mask or self.box

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Metrics:
        """The inverse of `as_json`; other keys beside its own are ignored."""
        return cls(
            box=Scores.from_json(value["box"]),
            mask=Scores.from_json(value["mask"]) if value["mask"] else None,
            images=value["images"],
            objects=value["objects"],
            crowds=value["crowds"],
            detections=value["detections"],
            findings=tuple(
                Finding(
                    f["code"],
                    f["severity"],
                    f["message"],
                    Path(f["path"]) if f["path"] else None,
                    f["line"],
                )
                for f in value["findings"]
            ),
        )

    def as_json(self) -> dict[str, Any]:
        return {
            "images": self.images,
            "objects": self.objects,
            "crowds": self.crowds,
            "detections": self.detections,
            "box": self.box.as_json(),
            "mask": self.mask.as_json() if self.mask else None,
            "findings": [finding.as_json() for finding in self.findings],
        }

    def table_header(self) -> tuple[str, ...]:
        """Column names for `table_rows`."""
        head = ("class", "images", "objects", "mAP50", "mAP50-95")
        return (*head, "mask mAP50", "mask mAP50-95") if self.mask else head

    def table_rows(self) -> list[tuple[str, ...]]:
        """One row of texts over all classes, then one per class; "-" where there is no truth.

        Where that is so of many classes, as of those that a model was to keep, they share a row.
        """
        return [tuple(_text(value) for value in row) for row in self._rows()]

    def _rows(self) -> Iterator[tuple[str | float | None, ...]]:
        kinds = (self.box, self.mask) if self.mask else (self.box,)
        overall = [value for kind in kinds for value in (kind.map50, kind.map50_95)]
        yield ("all", self.images, self.objects, *overall)
        missing = [item for item in self.box.per_class if not item.objects]
        for number, item in enumerate(self.box.per_class):
            if len(missing) > _MOST_MISSING and item in missing:
                continue
            scores = [kind.per_class[number] for kind in kinds]
            values = [value for score in scores for value in (score.ap50, score.ap)]
            yield (item.name, item.images, item.objects, *values)
        if len(missing) > _MOST_MISSING:
            yield (f"{len(missing)} classes without objects", 0, 0, *[None] * len(overall))


def _text(value: str | float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.3f}" if isinstance(value, float) else str(value)
