"""Detecting on any number of images with all nodes of a Ray cluster."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

from detect_tl import __version__
from detect_tl.api.prediction import choose_model
from detect_tl.core.errors import DataError, MachineError, UsageError
from detect_tl.core.findings import Finding
from detect_tl.core.images import Image
from detect_tl.core.progress import Progress, Silent
from detect_tl.core.words import counted
from detect_tl.runtime.backends import engine_device
from detect_tl.runtime.config import AUTO, DetectorConfig, PredictConfig
from detect_tl.scale.cluster import CLIENT, Cluster, check_installed, connected, lost_nodes
from detect_tl.scale.detecting import Work, decoded
from detect_tl.scale.fetch import read_bytes
from detect_tl.scale.images import Images, Survey, images_of, survey
from detect_tl.scale.ledger import Ledger, known_manifest, opened_ledger, refuse_foreign
from detect_tl.scale.model_files import Tried, pack_model
from detect_tl.scale.records import chosen_kinds
from detect_tl.scale.shards import shard_size, shards_left
from detect_tl.scale.stream import detected

# What makes no sense for images that are done in any order, on many machines.
_REFUSED = ("show", "track", "lines", "zones", "reconnect", "stdin_size", "stdin_fps")


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaledResult:
    """What a run over a cluster did, those before it that it went on with included.

    images: that were looked at, `failed` of them in vain. before: how many an earlier run had done.
    objects: detections by class name. cluster: None where all was done before.
    seconds: this run, from the first shard asked for to the last one written. busy: seconds that
    actors have worked, and bytes: of results, in all runs.
    """

    source: str
    backend: str
    cluster: Cluster | None
    images: int
    failed: int
    before: int
    shards: int
    objects: dict[str, int]
    seconds: float
    busy: float
    bytes: int
    out: Path
    files: tuple[Path, ...]
    findings: tuple[Finding, ...] = field(default=())

    @property
    def fps(self) -> float:
        """Images a second of this run."""
        return (self.images - self.before) / self.seconds if self.seconds else 0.0

    def as_json(self) -> dict[str, Any]:
        return {
            "source": self.source,
            "kind": "images",
            "engine": "ray",
            "backend": self.backend,
            "nodes": self.cluster.nodes if self.cluster else 0,
            "cpus": self.cluster.cpus if self.cluster else 0,
            "gpus": self.cluster.gpus if self.cluster else 0,
            "frames": self.images - self.failed,
            "images": self.images,
            "failed": self.failed,
            "before": self.before,
            "shards": self.shards,
            "seconds": round(self.seconds, 3),
            "fps": round(self.fps, 2),
            "busy_seconds": round(self.busy, 3),
            "bytes": self.bytes,
            "objects": self.objects,
            "out": str(self.out),
            "files": [str(path) for path in self.files],
            "findings": [finding.as_json() for finding in self.findings],
        }


def predict(
    model: str | Path,
    source: str | Path,
    *,
    address: str | None = None,
    column: str | None = None,
    shard: int | None = None,
    actors: int | None = None,
    zero_shot: str | Sequence[str] = (),
    open_weights: str | Path | None = None,
    trust: bool = False,
    progress: Progress | None = None,
    **settings: Any,
) -> ScaledResult:
    """Detect on images with all nodes of a cluster, and write the results in shards.

    source: an image, a folder, a pattern, a .txt list of those and of addresses, or a table
    (.parquet, .csv, .jsonl) with the place of an image in `column` of every row: a path, which all
    nodes must see, or an address (s3://, gs://, http://, …). address: see `cluster.connected`.
    shard: images that are done and written at a time; None: as suits their number. actors: that
    detect at a time; None: one for every core, or every GPU where the cluster has some.
    settings: of `PredictConfig`; `out` must be given, and what is live is refused.
    The other arguments are those of `api.predict`.

    A killed run goes on when it is called again with the same arguments. An image that cannot be
    read is noted in `failures` and counted. Raises UsageError for what does not go together and for
    an `out` of another run, and what `api.predict` and `cluster.connected` raise.
    """
    check_installed()
    if address is not None and address.startswith(CLIENT):
        raise UsageError(
            "results cannot stream through ray://, which is for machines outside of the cluster",
            hint="Run the command on a node of it, with --address auto; `ray job submit` does so.",
        )
    show = progress or Silent()
    config = _checked(PredictConfig.parse(settings))
    images = images_of(source, column=column, limit=config.limit)
    refuse_foreign(config.out or Path())  # before a model is exported for nothing
    config = _as_begun(config)
    chosen = choose_model(
        model, config, zero_shot, open_weights=open_weights, trust=trust, progress=show
    )
    detector = DetectorConfig(
        **{each.name: getattr(chosen.config, each.name) for each in fields(DetectorConfig)}
    )
    known = survey(images)
    tried = pack_model(chosen.model, detector, _sample(images))
    for reason in tried.reasons:
        show.say(reason)
    job = _Job(config, images, known, tried, shard or shard_size(known.count), actors)
    with opened_ledger(job.out, job.manifest()) as ledger:
        result = job.run(ledger, address, show)
    return replace(result, findings=(*chosen.findings, *result.findings))


def _checked(config: PredictConfig) -> PredictConfig:
    for name in _REFUSED:
        usual = next(each.default for each in fields(PredictConfig) if each.name == name)
        if getattr(config, name) not in (usual, None, {}):
            option = {"lines": "line", "zones": "zone"}.get(name, name).replace("_", "-")
            raise UsageError(
                f"--{option} does not go with --engine ray",
                hint="Images are done there in any order, on many machines. Leave one of them out.",
            )
    if config.out is None:
        raise UsageError("there is no folder to save into", hint="Name one with --out.")
    chosen_kinds(None if config.save is None else list(config.save))
    return config


def _as_begun(config: PredictConfig) -> PredictConfig:
    """With the engine that a run began with, where it goes on and may choose."""
    begun = known_manifest(config.out) if config.out is not None else None
    if begun is None or config.backend != AUTO:
        return config
    return replace(config, backend=str(begun.get("settings", {}).get("backend", AUTO)))


def _sample(images: Images) -> Image | None:
    """The first image, to choose an engine by, if it is one that can be read."""
    place = next(iter(images), "")
    try:
        return decoded(read_bytes(place))
    except DataError:
        return None


@dataclass(frozen=True, slots=True)
class _Job:
    """One run, once everything is known that it depends on."""

    config: PredictConfig
    images: Images
    known: Survey
    tried: Tried
    shard: int
    actors: int | None

    @property
    def out(self) -> Path:
        assert self.config.out is not None, "it was checked"
        return self.config.out

    @property
    def kinds(self) -> tuple[str, ...]:
        return chosen_kinds(None if self.config.save is None else list(self.config.save))

    def manifest(self) -> dict[str, Any]:
        """All that results depend on; the versions of a run that goes on stay those it began with.

        The engine that `auto` took first stays as well.
        """
        detector = self.tried.packed.config
        settings = {
            **{each.name: getattr(detector, each.name) for each in fields(DetectorConfig)},
            "tiles": self.config.tiles,
            "tile_overlap": self.config.tile_overlap,
        }
        plain: dict[str, Any] = json.loads(json.dumps(settings, default=_plain))
        return {
            "version": 1,
            "model": self.tried.packed.sha256,
            "source": self.images.source,
            "column": self.images.column,
            "images": {"count": self.known.count, "sha256": self.known.sha256},
            "root": self.known.root,
            "shard": self.shard,
            "settings": plain,
            "save": list(self.kinds),
            "classes": list(self.tried.classes),
            "begun_with": __version__,
        }

    def run(self, ledger: Ledger, address: str | None, progress: Progress) -> ScaledResult:
        before, seconds, cluster, lost = ledger.images, 0.0, None, 0
        if ledger.images < self.known.count:
            with connected(address, progress) as cluster:
                began = time.monotonic()
                self._detect(ledger, cluster, progress)
                seconds, lost = time.monotonic() - began, lost_nodes(cluster)
        if ledger.images != self.known.count:
            raise MachineError(
                f"{self.known.count - ledger.images} of {self.known.count} images are missing",
                hint="Run the same command again; it does what is left.",
            )
        return ScaledResult(
            source=self.images.source,
            backend=self.tried.backend,
            cluster=cluster,
            images=ledger.images,
            failed=ledger.failed,
            before=before,
            shards=len(ledger.done),
            objects={n: ledger.objects[n] for n in self.tried.classes if ledger.objects[n]},
            seconds=seconds,
            busy=ledger.seconds,
            bytes=ledger.bytes,
            out=self.out,
            files=ledger.files(),
            findings=tuple(_findings(ledger, lost)),
        )

    def _detect(self, ledger: Ledger, cluster: Cluster, progress: Progress) -> None:
        gpu = self._wants_gpu(cluster)
        actors = self.actors or (cluster.gpus if gpu else cluster.cpus)
        if actors < 1:
            raise MachineError("the cluster has no core to detect on", hint="Add a node to it.")
        packed = self.tried.packed
        if not gpu:  # several actors would share one that is not counted
            packed = replace(packed, config=replace(packed.config, device="cpu"))
        work = Work(
            model=packed,
            root=self.known.root,
            kinds=self.kinds,
            tiles=self.config.tiles,
            tile_overlap=self.config.tile_overlap,
        )
        done = frozenset(ledger.done)
        shards = partial(shards_left, self.images, self.shard, done, self.known.sha256)
        text = f"Detecting on {self.known.count} images with {counted(actors, 'actor')}"
        with progress.step(text, self.known.count) as bar:
            bar.advance(ledger.images)
            for answer in detected(shards, work, gpu=gpu, actors=actors):
                if ledger.add(answer):
                    bar.advance(answer.images)

    def _wants_gpu(self, cluster: Cluster) -> bool:
        """Whether every actor takes a GPU: where the user says so, or may be meant to.

        Raises MachineError where the user says so, and the cluster has none.
        """
        device = engine_device(self.config.device)
        if device == "cuda" and not cluster.gpus:
            raise MachineError("the cluster has no GPU", hint="Use --device cpu.")
        return cluster.gpus > 0 and (device == "cuda" or (device == "auto" and self.tried.cuda))


def _findings(ledger: Ledger, lost: int) -> Iterator[Finding]:
    if lost:
        text = f"{counted(lost, 'node')} of the cluster was lost; others did what it had begun"
        yield Finding("cluster.lost-node", "warning", text)
    if ledger.failed:
        text = f"{ledger.failed} of {ledger.images} images could not be read"
        yield Finding("images.failed", "error", text, ledger.folder / "failures")


def _plain(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else sorted(map(str, value))
