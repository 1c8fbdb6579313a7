"""What an evaluation leaves behind for people and for other programs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from detect_tl.core.progress import Progress

if TYPE_CHECKING:
    from detect_tl.evaluation.analysis import Analysis
    from detect_tl.evaluation.matching import Matches
    from detect_tl.evaluation.sheet import Sheet

MISTAKES = "mistakes.html"


@dataclass(frozen=True, slots=True)
class Evidence:
    """A sheet, looked into. title: of pages. files: of the images, by their ids."""

    title: str
    sheet: Sheet
    matches: Matches
    analysis: Analysis
    files: Mapping[int, Path]

    @classmethod
    def of(
        cls, title: str, sheet: Sheet, files: Mapping[int, Path], *, resamples: int, seed: int
    ) -> Evidence:
        """Match detections with objects, and see how sure the scores are."""
        from detect_tl.evaluation.analysis import analyse, main_matches

        matches = main_matches(sheet)
        analysis = analyse(matches, resamples=resamples, seed=seed)
        return cls(title, sheet, matches, analysis, files)

    def write_mistakes(self, path: Path, progress: Progress) -> None:
        """Write the page of mistakes, whole or not at all."""
        from detect_tl.evaluation.gallery import Gallery
        from detect_tl.evaluation.mistakes import find_mistakes

        confidence = self.analysis.confusion.confidence
        mistakes = find_mistakes(self.matches, self.analysis.errors, confidence)
        Gallery(path, self.title, self.sheet, self.matches, mistakes, confidence, self.files).write(
            progress
        )


def write_evaluation(
    out: Path,
    values: Mapping[str, Any],
    sheet: Sheet,
    evidence: Evidence | None,
    progress: Progress,
) -> tuple[Path, ...]:
    """Write a folder, whole or not at all; return the files in it.

    values: `EvalResult.as_json()`. Without evidence, for want of objects, there are no mistakes.
    """
    from detect_tl.core.files import atomic_folder, write_json
    from detect_tl.evaluation.sheet import as_results

    names = ["evaluation.json", "predictions.json"]
    with atomic_folder(out) as scratch:
        write_json(scratch / names[0], values)
        write_json(scratch / names[1], as_results(sheet))
        if evidence is not None:
            names.append(MISTAKES)
            evidence.write_mistakes(scratch / MISTAKES, progress)
    return tuple(out / name for name in names)
