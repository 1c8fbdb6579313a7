"""What people read of a run: report.html and results.png in its folder."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from detect_tl.core.images import Image
    from detect_tl.evaluation.pictures import Picture
    from detect_tl.export.model import ExportResult
    from detect_tl.runtime.result import PredictResult
    from detect_tl.training.folder import RunFolder

REPORT = "report.html"
_TOLD = "report.json"
PICTURES = 6
"""How many images a report shows with their truth and the model's answers."""


def write_pages(
    run: RunFolder,
    *,
    pictures: Sequence[Picture],
    title: str = "",
    notes: Sequence[str] = (),
    exported: ExportResult | None = None,
    predicted: PredictResult | None = None,
) -> Path:
    """Write the report and the curves of a run that has been evaluated; return the report.

    exported, predicted: shown as well, when given; of the latter, its video. What is said of a run
    beside its own files (title, notes, video) is kept, for when its page is drawn again.
    """
    from detect_tl.core.files import read_json, write_json
    from detect_tl.evaluation.describe import describe_run
    from detect_tl.evaluation.plots import read_curves, write_results
    from detect_tl.evaluation.report import VideoSection, write_report

    page = run.path / REPORT
    if run.metrics.is_file():  # there are no curves of what did not train
        write_results(read_curves(run.metrics), run.path / "results.png")
    told: dict[str, Any] = {"title": title, "notes": list(notes), "video": None}
    if predicted is not None and predicted.files[0].suffix == ".mp4":
        told["video"] = {
            "file": Path(os.path.relpath(predicted.files[0], run.path)).as_posix(),
            "fps": predicted.fps,
            "facts": {"frames": str(predicted.frames), "source": predicted.source.name},
        }
    if any(told.values()):
        write_json(run.path / _TOLD, told)
    elif (run.path / _TOLD).is_file():
        told = read_json(run.path / _TOLD)
    shown = told["video"]
    there = shown is not None and (run.path / shown["file"]).is_file()
    report = describe_run(
        run.path,
        title=told["title"],
        notes=told["notes"],
        pictures=pictures,
        export=exported.as_json() if exported else None,
        video=VideoSection(**shown, poster=_middle_frame(run.path / shown["file"]))
        if there
        else None,
    )
    write_report(report, page)
    return page


def _middle_frame(video: Path) -> Image | None:
    """A frame from the middle of a video, to stand for it."""
    from detect_tl.runtime.sources import open_source

    source = open_source(video)
    middle, image = (source.info.frame_count or 0) // 2, None
    try:
        for frame in source:
            image = frame.image
            if frame.index >= middle:
                break
    finally:
        source.close()
    return image
