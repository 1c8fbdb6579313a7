"""`detect-tl tune`. Its options are its own and, for the trials, those of `train`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from detect_tl import api
from detect_tl.api.tuning import TRIALS
from detect_tl.api.tuning_folder import SETTINGS
from detect_tl.cli.errors import resumable
from detect_tl.cli.options import PATH, engine_options, verb
from detect_tl.cli.output import Output, Piece, Table, pass_output
from detect_tl.cli.train import add_settings
from detect_tl.transfer.space import SEARCHABLE

if TYPE_CHECKING:
    from detect_tl.api.tuning import TuneResult


@verb(
    "tune",
    """
    detect-tl tune my-pictures --plan
    detect-tl tune my-pictures --epochs 30 --trials 20 --out runs/tuned
    detect-tl tune datasets/mine --strategy freeze --minutes 60
    detect-tl tune datasets/mine --space space.yaml --engine ray
    """,
)
@click.argument("data", type=PATH)
@click.option(
    "--trials",
    type=click.IntRange(min=1),
    default=TRIALS,
    show_default=True,
    help="At most so many, the first being the default.",
)
@click.option(
    "--minutes",
    type=click.FloatRange(min=0, min_open=True),
    help="After so many minutes no trial begins; those that run are finished.  [default: no limit]",
)
@click.option(
    "--space",
    type=PATH,
    metavar="FILE",
    help="YAML file that says what is searched, and nothing else is: choices, such as "
    "`augment: [light, heavy]`, and ranges, such as `lr: {low: 0.0001, high: 0.01}`.  "
    "[default: see --plan]",
)
@click.option(
    "--first-rung",
    type=click.IntRange(min=1),
    metavar="EPOCHS",
    help="Epochs that every trial gets; after these, and after three times as many, only the best "
    "third goes on.  [default: a ninth of --epochs]",
)
@click.option(
    "--keep-all",
    is_flag=True,
    help="Keep the checkpoints of all trials; else those of the best and of the default.",
)
@engine_options
@click.option(
    "--parallel",
    type=click.IntRange(min=1),
    metavar="TRIALS",
    help="With --engine ray, so many trials at a time, with equal shares of the cores.  "
    "[default: one for each GPU, else for 4 cores, but 2 on 2 or more]",
)
@click.option(
    "--out",
    type=PATH,
    default="runs/tune",
    show_default=True,
    metavar="DIR",
    help="Folder for the trials and the result; the same command goes on there. All machines of a "
    "cluster must see it.",
)
@click.option("--plan", is_flag=True, help="Only say what would be tried, and stopped when.")
@pass_output
@click.pass_context
def command(ctx: click.Context, /, console: Output, data: Path, **settings: Any) -> None:
    """Look for settings that suit your data better than the default.

    DATA is annotations in any known format, or a dataset folder. The first trial is `train` as it
    is; the others change strategy, frozen layers, learning rate, batch, augmentation, mosaic and
    views, and those that fall behind are stopped after few epochs. An option of `train` that is
    given here is not searched. The best by mAP50-95 on val is named with the command that repeats
    it, and whether it beats the default. An interrupted search goes on when the command is
    repeated.
    """
    where = {name: settings.pop(name) for name in ("engine", "address", "parallel")}
    chosen = {k: v for k, v in settings.items() if k not in SEARCHABLE or _given(ctx, k)}
    if where["parallel"] and where["engine"] != "ray":
        raise click.BadParameter("it goes with --engine ray", ctx, param_hint="--parallel")
    if chosen.pop("plan"):
        for name in ("out", "keep_all"):
            chosen.pop(name)
        found = api.tune_plan(data, progress=console.progress, **chosen)
        console.show(found, lambda each: each.summary())
        return
    begun = Path(chosen["out"]) / SETTINGS
    with resumable(begun, "Repeat the command to go on; what has finished is kept."):
        result = _tune(where, data, {**chosen, "progress": console.progress})
    console.show(result, _describe)


def _given(ctx: click.Context, name: str) -> bool:
    """Whether somebody said what an option is: a line, a file or the environment."""
    source = ctx.get_parameter_source(name)
    return source not in (None, ParameterSource.DEFAULT)


def _tune(where: dict[str, Any], data: Path, settings: dict[str, Any]) -> TuneResult:
    if where["engine"] == "local":
        return api.tune(data, **settings)
    from detect_tl.scale.tune import tune

    return tune(data, address=where["address"], parallel=where["parallel"], **settings)


def _describe(result: TuneResult) -> Iterator[Piece]:
    from detect_tl.evaluation.tuning import HEADER, ranked

    header = [result.metric if name == "mAP50-95" else name for name in HEADER]
    rows = [trial.row() for trial in ranked(result.tuning.trials)]
    yield Table(header, rows, right=("epochs", "seconds", result.metric))
    yield result.tuning.verdict
    yield result.tuning.caution
    yield f"best run: {result.best}"
    yield f"again: {result.command}"
    yield f"picture: {result.picture}"
    yield f"report: {result.report}"


add_settings(command, before="config", without=("out",))
