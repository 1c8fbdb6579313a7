"""Write the embedded sample: datasets/sample/ with its pictures, LabelMe files and video.

    python tools/make_sample.py

Everything follows from the seed; a second run writes the same bytes.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from tools.worlds.sample_set import build, write
from tools.worlds.sample_video import write_video

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=ROOT / "datasets" / "sample")
    parser.add_argument("--images", type=int, default=150)
    parser.add_argument("--seed", type=int, default=2024)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=8.0, help="of video; 0 for none")
    options = parser.parse_args()
    records, mess = build(options.images, options.seed, options.jobs)
    write(options.out, records, mess, options.seed)
    if options.seconds > 0:
        write_video(options.out, options.seed, options.seconds)
    size = sum(p.stat().st_size for p in options.out.rglob("*") if p.is_file())
    print(f"{options.out}: {len(records)} pictures, {size / 1e6:.2f} MB in all")


if __name__ == "__main__":
    main()
