"""`detect-tl serve`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from detect_tl import api
from detect_tl.cli.declared import dataclass_options, put_options
from detect_tl.cli.options import trust_option, verb, zero_shot_options
from detect_tl.cli.output import Output, pass_output
from detect_tl.cli.params import IMGSZ, Confidence
from detect_tl.core.errors import UsageError
from detect_tl.runtime.config import DetectorConfig

if TYPE_CHECKING:
    from detect_tl.web.server import Address


@verb(
    "serve",
    """
    detect-tl serve runs/mine --open
    detect-tl serve best.onnx --port 9000 --conf 0.5
    detect-tl serve yolo11n --host 0.0.0.0
    detect-tl serve yolo11n --zero-shot "pedestrian,vehicle"
    """,
)
@click.argument("model")
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Address to listen on; any but this machine's own needs a token.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8000,
    show_default=True,
    help="Port to listen on; 0 takes a free one.",
)
@click.option(
    "--certificate",
    type=click.Path(path_type=Path),
    help="PEM file; with it the service speaks HTTPS, without which a phone shows no camera.",
)
@click.option(
    "--key",
    type=click.Path(path_type=Path),
    help="PEM file of its key.  [default: in the same file]",
)
@click.option("--token", help="What clients must know.  [default: made up where one is needed]")
@click.option(
    "--max-size",
    type=click.FloatRange(min=0, min_open=True),
    default=20,
    show_default=True,
    metavar="MB",
    help="Largest picture, as a file.",
)
@click.option(
    "--max-pixels",
    type=click.IntRange(1, 178_000_000),
    default=50_000_000,
    show_default=True,
    help="Largest picture, in pixels.",
)
@click.option(
    "--rate",
    type=click.FloatRange(min=0, min_open=True),
    default=50,
    show_default=True,
    help="Requests a second that one address may make; live frames do not count.",
)
@click.option(
    "--clients",
    type=click.IntRange(min=1),
    default=16,
    show_default=True,
    help="Requests and live connections that are served at the same time.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=30,
    show_default=True,
    metavar="SECONDS",
    help="In which a request must have arrived.",
)
@zero_shot_options
@click.option("--open", "browse", is_flag=True, help="Open the page in the browser.")
@trust_option
@pass_output
def command(console: Output, model: str, browse: bool, **options: Any) -> None:
    """Serve a page and an HTTP API that detect, until Ctrl-C.

    MODEL is a run folder, a .pt or .onnx file, or the name of weights. On the page, a picture, a
    video or the camera of the browser shows boxes and masks live. POST /predict takes a picture and
    gives JSON; /openapi.json describes it, /metrics is for Prometheus. A client may ask for another
    confidence than --conf. Nothing is sent elsewhere.
    """
    from detect_tl.web.certificate import Certificate
    from detect_tl.web.settings import Limits, Settings, check_installed

    check_installed()
    certificate, key = options.pop("certificate"), options.pop("key")
    if key and not certificate:
        raise UsageError("--key goes with --certificate")
    limits = Limits(
        max_bytes=max(round(options.pop("max_size") * 1e6), 1),
        max_pixels=options.pop("max_pixels"),
        rate=options.pop("rate"),
        clients=options.pop("clients"),
        seconds=options.pop("timeout"),
    )
    where = {name: options.pop(name) for name in ("host", "port", "token")}
    settings = Settings.for_host(
        _name(model),
        limits=limits,
        certificate=Certificate(certificate, key) if certificate else None,
        **where,
    )
    with api.detector(model, progress=console.progress, **options) as detector:
        from detect_tl.web.server import serve

        serve(detector, settings, lambda address: _announce(console, address, browse))


put_options(
    command,
    list(
        dataclass_options(
            DetectorConfig,
            {"conf": {"type": Confidence()}, "imgsz": {"type": IMGSZ}},
            only=("conf", "imgsz", "backend", "device"),
        )
    ),
    before="max_size",
)


def _announce(console: Output, address: Address, browse: bool) -> None:
    console.show(address, lambda found: [found.url])
    console.note("Ctrl-C ends it.")
    if browse:
        import webbrowser

        if not webbrowser.open(address.url):
            console.note("no browser can be opened here; open the address yourself")


def _name(model: str) -> str:
    """What the page calls the model: not where it lies on this machine."""
    return Path(model).resolve().name if Path(model).exists() else model
