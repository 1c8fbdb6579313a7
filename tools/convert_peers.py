"""One conversion by one program, timed; run by bench_convert.py, in the peer's own Python.

    python convert_peers.py NAME SOURCE DESTINATION

Prints the seconds that the conversion took, imports not counted. Imports nothing of detect_tl
unless asked for `ours-*`, so that it runs where only the peer is installed.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("YOLO_OFFLINE", "true")

Convert = Callable[[], object]


def ours(source: Path, destination: Path, to: str) -> Convert:
    from detect_tl.curate.convert import convert

    return lambda: convert(source, destination, to=[to], link="hard")


def ultralytics_coco_to_yolo(source: Path, destination: Path) -> Convert:
    from ultralytics.data.converter import convert_coco

    return lambda: convert_coco(
        str(source / "annotations"), str(destination), use_segments=True, cls91to80=False
    )


def supervision_coco_to_yolo(source: Path, destination: Path) -> Convert:
    import supervision

    def run() -> None:
        for split in ("train2017", "val2017"):
            dataset = supervision.DetectionDataset.from_coco(
                str(source / split), str(source / "annotations" / f"instances_{split}.json")
            )
            dataset.as_yolo(annotations_directory_path=str(destination / split))

    return run


def datumaro_voc_to_coco(source: Path, destination: Path) -> Convert:
    from datumaro import Dataset

    def run() -> None:
        dataset = Dataset.import_from(str(source), "voc")
        dataset.export(str(destination), "coco_instances", save_media=False)

    return run


def labelformat_voc_to_coco(source: Path, destination: Path) -> Convert:
    from labelformat.formats.coco import COCOObjectDetectionOutput
    from labelformat.formats.pascalvoc import PascalVOCObjectDetectionInput

    lines = (source / "labelmap.txt").read_text().splitlines()[1:]
    names = [line.partition(":")[0] for line in lines]

    def run() -> None:
        label_input = PascalVOCObjectDetectionInput(
            input_folder=source / "Annotations", category_names=",".join(names)
        )
        destination.mkdir(parents=True)
        COCOObjectDetectionOutput(output_file=destination / "all.json").save(
            label_input=label_input
        )

    return run


PROGRAMS: dict[str, Callable[[Path, Path], Convert]] = {
    "ours-yolo": lambda source, destination: ours(source, destination, "yolo"),
    "ours-coco": lambda source, destination: ours(source, destination, "coco"),
    "ultralytics": ultralytics_coco_to_yolo,
    "supervision": supervision_coco_to_yolo,
    "datumaro": datumaro_voc_to_coco,
    "labelformat": labelformat_voc_to_coco,
}


def main() -> None:
    name, source, destination = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    run = PROGRAMS[name](source, destination)
    start = time.perf_counter()
    run()
    print(f"seconds {time.perf_counter() - start:.4f}", flush=True)


if __name__ == "__main__":
    main()
