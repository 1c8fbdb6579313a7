"""What a prediction run did."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detect_tl.core.findings import Finding
from detect_tl.runtime.frames import SourceInfo
from detect_tl.runtime.pipeline import PipelineStats


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictResult:
    """What a prediction run did.

    source: what was read. backend: the engine that ran the model; empty for a detector that was
    given. frames: how many were used. objects: detections by class name.
    tracks: how many objects with different ids there were; None without tracking.
    counts: at lines and in zones, see `Counts.as_json`; None without any.
    files: what was written: the video, the folder of pictures, the JSON lines; empty without `out`.
    findings: what was odd about the source, for example fewer frames than its header promises, and
    what sinks had to say.
    parts: of several sources, the result of each; the other values are those of all together, and
    counts are in the parts alone.
    """

    source: SourceInfo
    stats: PipelineStats
    backend: str
    objects: dict[str, int]
    files: tuple[Path, ...]
    findings: tuple[Finding, ...]
    tracks: int | None = None
    counts: dict[str, Any] | None = None
    parts: tuple[PredictResult, ...] = ()

    @property
    def frames(self) -> int:
        return self.stats.frames

    @property
    def fps(self) -> float:
        return self.stats.fps

    @property
    def failed(self) -> bool:
        """Whether a part of what was wanted is missing: a source of several, or the end of one."""
        return any(finding.severity == "error" for finding in self.findings)

    def as_json(self) -> dict[str, Any]:
        age = self.stats.age_ms
        return {
            "source": self.source.name,
            "kind": self.source.kind,
            "backend": self.backend,
            "frames": self.frames,
            "frames_in_header": self.source.frame_count,
            "dropped": self.stats.dropped,
            "seconds": round(self.stats.seconds, 3),
            "fps": round(self.fps, 2),
            "stage_ms": {name: round(ms, 2) for name, ms in self.stats.stage_ms.items()},
            "objects": self.objects,
            "tracks": self.tracks,
            "counts": self.counts,
            "files": [str(path) for path in self.files],
            "frame_age_ms": age and {name: round(ms, 2) for name, ms in age.items()},
            "stopped": self.stats.stopped,
            "findings": [finding.as_json() for finding in self.findings],
            "sources": [part.as_json() for part in self.parts],
        }
