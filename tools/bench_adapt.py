"""Does adapting to another camera without labels help, and does the judge without labels know?

    python tools/bench_adapt.py MODEL DATA [--shifts none,blur,night,noise,sensor,fog]
                                [--learn test] [--measure val] [--images N] [--labelled N]
                                [--rounds N] [--epochs N] [--imgsz N] [--json FILE]
    python tools/bench_adapt.py MODEL --images-of DIR --measured-on DATA

The other camera is made of a real one: every picture is blurred, darkened, and so on, always by the
same strength (`SHIFTS`; albumentations, seeded). The pictures of the split --learn are adapted to,
their labels unused; those of --measure, changed alike, tell the mAP50-95 of the model as it was,
with new statistics of BatchNorm, and after each round of self-training. Data without splits is
halved: every other picture.

Self-training starts from what the labels prefer, and "kept" is what they keep: that is `adapt` with
--data. "without labels" is what the judge without labels would have kept of the same models, and
whether that was right: not worse than the model as it was. Shift `none` is the same camera again.

With --images-of and --measured-on nothing is made: the two are pictures of a real other camera, and
labelled ones that share classes with the model.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from detect_tl.api.adaptation.plan import AdaptPlan
from detect_tl.api.adaptation.trying import Trial, best, by_agreement
from detect_tl.api.adapting import EPOCHS, ROUNDS, adapt_plan
from detect_tl.augment.pipeline import Pipeline
from detect_tl.augment.spec import Augmentation, Step
from detect_tl.core.dataset import Dataset, Sample
from detect_tl.core.findings import Report
from detect_tl.core.images import read_image, write_image
from detect_tl.core.progress import Silent
from detect_tl.curate.folder import Origin, Recipe, write_folder
from detect_tl.formats.detect import read_dataset

SHIFTS: dict[str, tuple[Step, ...]] = {
    "none": (),
    "blur": (Step("Defocus", {"radius": (4, 4), "alias_blur": (0.2, 0.2), "p": 1}),),
    "night": (
        Step("RandomGamma", {"gamma_limit": (260, 260), "p": 1}),
        Step("ISONoise", {"color_shift": (0.05, 0.05), "intensity": (0.5, 0.5), "p": 1}),
    ),
    "noise": (Step("GaussNoise", {"std_range": (0.15, 0.15), "p": 1}),),
    "sensor": (
        Step(
            "RGBShift",
            {
                "r_shift_limit": (45, 45),
                "g_shift_limit": (-15, -15),
                "b_shift_limit": (-60, -60),
                "p": 1,
            },
        ),
    ),
    "fog": (Step("RandomFog", {"fog_coef_range": (0.5, 0.5), "alpha_coef": 0.08, "p": 1}),),
}


def changed(
    samples: Sequence[Sample], shift: str, folder: Path, *, seed: int
) -> tuple[Sample, ...]:
    """The same pictures as another camera would take them, written as PNG."""
    pipeline = Pipeline(Augmentation(shift, steps=SHIFTS[shift]))
    folder.mkdir(parents=True)
    found = []
    for number, sample in enumerate(samples):
        path = folder / f"{number:04d}.png"
        write_image(path, pipeline(read_image(sample.image), (), seed + number).image)
        found.append(replace(sample, image=path, split="val", header=None))
    return tuple(found)


def parts(dataset: Dataset, learn: str, measure: str) -> tuple[list[Sample], list[Sample]]:
    """The pictures to adapt to, and those to measure on."""
    found = dataset.in_split(learn), dataset.in_split(measure)
    if all(found):
        return found
    samples = list(dataset.samples)
    return samples[::2], samples[1::2]


def measured(plan: AdaptPlan, scratch: Path) -> dict[str, Any]:
    """Go through an adaptation; tell what every model is worth, and what both judges keep."""
    started = time.perf_counter()
    work = scratch / "work"
    work.mkdir()
    trial = Trial(plan, work, Silent())
    tried = trial.run()
    kept, guessed = trial.best(), best(tried, by_agreement(plan.expected))
    return {
        "tried": [each.as_json() for each in tried],
        "kept": kept.name,
        "without_labels": guessed.name,
        "right": (guessed.score or 0.0) >= (tried[0].score or 0.0),
        "missed": (kept.score or 0.0) - (guessed.score or 0.0),
        "seconds": round(time.perf_counter() - started, 1),
    }


def under_shift(arguments: argparse.Namespace, shift: str) -> dict[str, Any]:
    """One shift."""
    dataset = read_dataset(arguments.data).dataset
    learn, measure = parts(dataset, arguments.learn, arguments.measure)
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        changed(learn[: arguments.images], shift, scratch / "images", seed=0)
        truth = changed(measure[: arguments.labelled], shift, scratch / "truth", seed=100_000)
        origin = Origin(scratch, shift, "", "", "", {"source": shift})
        labelled = replace(dataset, samples=truth)
        write_folder(labelled, scratch / "labelled", origin, Report(), Recipe(link="hard"))
        plan = planned(arguments, scratch / "images", scratch / "labelled")
        return {"shift": shift, **measured(plan, scratch)}


def between_cameras(arguments: argparse.Namespace) -> dict[str, Any]:
    """Pictures of another camera as they are."""
    with tempfile.TemporaryDirectory() as name:
        plan = planned(arguments, arguments.images_of, arguments.measured_on)
        return {"shift": arguments.images_of.name, **measured(plan, Path(name))}


def planned(arguments: argparse.Namespace, images: Path, data: Path) -> AdaptPlan:
    return adapt_plan(
        arguments.model,
        images,
        data=data,
        split="all",
        rounds=arguments.rounds,
        epochs=arguments.epochs,
        imgsz=arguments.imgsz,
        device="cpu",
    )


def line(row: dict[str, Any]) -> str:
    scores = "  ".join(f"{each['name']} {each['mAP50-95']:.3f}" for each in row["tried"])
    verdict = "right" if row["right"] else "WRONG"
    return (
        f"{row['shift']:8}  {scores}  kept: {row['kept']}; without labels: {row['without_labels']}"
        f" ({verdict}, {row['missed']:.3f} missed)  {row['seconds']:.0f} s"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("model", help="run folder, .pt or name of weights")
    parser.add_argument("data", nargs="?", type=Path)
    parser.add_argument("--shifts", default=",".join(SHIFTS))
    parser.add_argument("--learn", default="test")
    parser.add_argument("--measure", default="val")
    parser.add_argument("--images", type=int, help="adapt to so many at most")
    parser.add_argument("--labelled", type=int, help="measure on so many at most")
    parser.add_argument("--images-of", type=Path)
    parser.add_argument("--measured-on", type=Path)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--imgsz", type=int)
    parser.add_argument("--json", type=Path, help="file to add a line of JSON to for each shift")
    arguments = parser.parse_args()
    shifts = arguments.shifts.split(",") if arguments.data else []
    rows = (under_shift(arguments, shift) for shift in shifts)
    for row in rows if shifts else iter([between_cameras(arguments)]):
        print(line(row), flush=True)
        if arguments.json:
            with arguments.json.open("a") as stream:
                stream.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
