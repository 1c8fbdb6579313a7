"""Pretrain the embedded starter checkpoint on the toy world: a synthetic starter, not COCO.

    python tools/make_starter.py --minutes 50

Renders the pictures (seeded, in parallel), trains a yolo11n-shaped detector from random weights
in CPU bfloat16, and writes an ordinary Ultralytics checkpoint without traces of this machine.
`--finish RUN_CHECKPOINT` writes the starter from a checkpoint of a run that is still going.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import torch

from tools.worlds.offline import quiet_offline
from tools.worlds.toys import TOYS

quiet_offline()

from ultralytics import YOLO  # noqa: E402
from ultralytics.models.yolo.detect import DetectionTrainer  # noqa: E402

from tools.worlds.bf16 import bfloat16_training, to_channels_last  # noqa: E402
from tools.worlds.checkpoint import strip  # noqa: E402
from tools.worlds.toy_set import write_toy_set  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    options = _options()
    if options.finish:
        strip(options.finish, options.out, list(TOYS), _facts(options))
        return
    start = time.perf_counter()
    data = write_toy_set(
        options.work / "toys",
        train=options.train,
        val=options.val,
        size=options.imgsz,
        seed=options.seed,
        jobs=options.jobs,
    )
    rendered = time.perf_counter()
    torch.set_num_threads(options.threads)
    run = train(data, options)
    trained = time.perf_counter()
    last = run / "weights" / "last.pt"
    validation = YOLO(last).val(data=str(data), imgsz=options.imgsz, plots=False, verbose=False)
    facts = {
        **_facts(options),
        "render_seconds": round(rendered - start),
        "train_seconds": round(trained - rendered),
        "val_mAP50": round(float(validation.box.map50), 4),
        "val_mAP50-95": round(float(validation.box.map), 4),
    }
    strip(last, options.out, list(TOYS), facts)
    print(json.dumps({**facts, "bytes": options.out.stat().st_size}, indent=2))


def train(data: Path, options: argparse.Namespace) -> Path:
    """Train from random weights for the given minutes; the run's folder."""
    model = YOLO("yolo11n.yaml", task="detect", verbose=False)
    model.add_callback("on_train_start", lambda trainer: to_channels_last(trainer.model))
    with bfloat16_training():
        model.train(
            trainer=DetectionTrainer,
            data=str(data),
            imgsz=options.imgsz,
            batch=options.batch,
            nbs=options.batch,
            time=options.minutes / 60,
            epochs=100,
            optimizer="AdamW",
            lr0=0.002,
            lrf=0.02,
            cos_lr=True,
            warmup_epochs=0.5,
            weight_decay=0.02,
            close_mosaic=2,
            mosaic=0.6,
            scale=0.4,
            degrees=15.0,
            flipud=0.5,
            fliplr=0.0,
            seed=options.seed,
            workers=1,
            cache="ram",
            device="cpu",
            amp=False,
            val=False,
            plots=False,
            deterministic=False,
            project=str(options.work),
            name="run",
            exist_ok=True,
            verbose=False,
        )
    return Path(model.trainer.save_dir)


def _facts(options: argparse.Namespace) -> dict[str, object]:
    return {"train_images": options.train, "val_images": options.val, "seed": options.seed}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=ROOT / "weights" / "starter.pt")
    parser.add_argument("--work", type=Path, default=ROOT / "runs" / "starter")
    parser.add_argument("--minutes", type=float, default=50, help="time for training alone")
    parser.add_argument("--train", type=int, default=3000, help="training pictures")
    parser.add_argument("--val", type=int, default=200, help="validation pictures")
    parser.add_argument("--imgsz", type=int, default=320)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--jobs", type=int, default=2, help="rendering processes")
    parser.add_argument("--finish", type=Path, help="only write the starter from this checkpoint")
    return parser.parse_args()


if __name__ == "__main__":
    main()
