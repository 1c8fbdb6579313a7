"""What people read of a run: report.html and results.png in its folder."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from detect_tl.core.images import Image
    from detect_tl.evaluation.pictures import Picture
    from detect_tl.export.onnx import ExportResult
    from detect_tl.runtime.predict import PredictResult
    from detect_tl.training.folder import RunFolder

REPORT = "report.html"
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

    exported, predicted: shown as well, when given; of the latter, its video.
    """
    from detect_tl.evaluation.describe import describe_run
    from detect_tl.evaluation.plots import read_curves, write_results
    from detect_tl.evaluation.report import VideoSection, write_report

    page = run.path / REPORT
    write_results(read_curves(run.metrics), run.path / "results.png")
    video = None
    if predicted is not None and predicted.files[0].suffix == ".mp4":
        video = VideoSection(
            file=Path(os.path.relpath(predicted.files[0], run.path)).as_posix(),
            poster=_middle_frame(predicted.files[0]),
            fps=predicted.fps,
            facts={"frames": str(predicted.frames), "source": predicted.source.name},
        )
    report = describe_run(
        run.path,
        title=title,
        notes=notes,
        pictures=pictures,
        export=exported.as_json() if exported else None,
        video=video,
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
