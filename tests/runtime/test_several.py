"""Several sources at once: fair to each, each with its own results, none pulls down another."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import orjson
import pytest

from detect_tl.core.detections import Detections
from detect_tl.core.errors import DataError, MachineError
from detect_tl.core.progress import Silent
from detect_tl.runtime.config import PredictConfig
from detect_tl.runtime.frames import Frame, SourceInfo
from detect_tl.runtime.mailbox import Turns
from detect_tl.runtime.pipeline import run_pipeline
from detect_tl.runtime.predict import predict
from detect_tl.runtime.several import Several, is_list, open_list, read_list, run_each
from detect_tl.runtime.stopping import Stop
from tests.runtime.conftest import picture
from tests.runtime.servers import JpegCamera
from tests.runtime.test_pipeline import Numbers, Reader, Used, detector_of
from tests.runtime.videos import moving_square, read_video, write_video

PNG = cv2.imencode(".png", picture(64, 64))[1].tobytes()


def listed(path: Path, *lines: object) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


class TestLists:
    def test_one_source_a_line(self, tmp_path: Path) -> None:
        path = listed(
            tmp_path / "streams.txt",
            "\ufeff# the yard",
            "rtsp://me:pw@cam/1#t=3",
            "",
            "  0  ",
            "videos/a b.mp4",
            "/abs/c.mp4",
            "-",
        )
        below = str(tmp_path / "videos" / "a b.mp4")
        assert read_list(path) == ["rtsp://me:pw@cam/1#t=3", "0", below, "/abs/c.mp4", "-"]

    def test_what_is_a_list(self) -> None:
        assert is_list(Path("a/streams.TXT"))
        assert not is_list("http://host/streams.txt")
        assert not is_list("video.mp4")

    def test_what_is_none(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="names no source"):
            read_list(listed(tmp_path / "a.txt", "# nothing", ""))
        with pytest.raises(DataError, match="No such file"):
            read_list(tmp_path / "none.txt")
        (tmp_path / "b.txt").write_bytes(b"\xff\xfe\x00")
        with pytest.raises(DataError, match="UTF-8"):
            read_list(tmp_path / "b.txt")


def test_a_slow_model_serves_live_sources_in_turn() -> None:
    """One gives ten times the frames of another, and neither gets more of the model."""
    turns, stop, engine = Turns(1), Stop(), Reader(0.01)
    used: Counter[float] = Counter()

    def run(pause: float) -> None:
        def consume(frame: Frame, found: Detections) -> bool:
            used[pause] += 1
            if used.total() == 90:
                stop.ask()
            return True

        source = Numbers(None, live=True, pause=pause)
        run_pipeline(source, detector_of(engine), consume, turns=turns, stop=stop)

    threads = [threading.Thread(target=run, args=(pause,)) for pause in (0.001, 0.002, 0.01)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert engine.most == 1
    assert min(used.values()) > 20
    assert max(used.values()) < 40


class Named(Numbers):
    def __init__(self, name: str, total: int | None, **options: object) -> None:
        super().__init__(total, **options)
        self.info = SourceInfo(kind=self.info.kind, name=name, live=self.info.live)


class TestRunEach:
    def test_one_that_fails_does_not_stop_the_others(self) -> None:
        said: list[str] = []
        several = Several("list", [Named(name, 3) for name in ("yard", "gate", "hall")], [])

        def run(source: Named, stop: object) -> str:
            if source.info.name == "gate":
                raise MachineError("the cable is out")
            return source.info.name

        assert run_each(several, run, said.append) == ["yard", "hall"]
        (finding,) = several.findings
        assert (finding.code, finding.severity) == ("source.failed", "error")
        assert said == [finding.message] == ["gate: the cable is out"]

    def test_when_all_fail(self) -> None:
        def run(source: Named, stop: object) -> str:
            raise MachineError(f"no {source.info.name}")

        with pytest.raises(MachineError, match="no a"):
            run_each(Several("list", [Named(n, 3) for n in "ab"], []), run, lambda _: None)

    def test_a_mistake_of_ours_stops_all(self) -> None:
        def run(source: Named, stop: object) -> str:
            if source.info.name == "b":
                raise RuntimeError("a bug")
            run_pipeline(source, detector_of(Reader()), Used(), stop=stop)
            return "ended"

        several = Several("list", [Named("a", None, live=True, pause=0.002), Named("b", 3)], [])
        with pytest.raises(RuntimeError, match="a bug"):
            run_each(several, run, lambda _: None)


@pytest.fixture
def cameras() -> Iterator[tuple[JpegCamera, JpegCamera]]:
    with JpegCamera(count=30) as first, JpegCamera(count=30) as second:
        yield first, second


def test_two_cameras_a_video_and_two_that_fail(
    detect_model: Path, tmp_path: Path, cameras: tuple[JpegCamera, JpegCamera]
) -> None:
    write_video(tmp_path / "yard.mp4", moving_square(17))
    sources = listed(
        tmp_path / "streams.txt",
        *(cameras[0].url, "yard.mp4", "none.mp4", cameras[1].url),
        "http://me:secret@127.0.0.1:9/gone",
    )
    said: list[str] = []
    progress = Silent()
    progress.say = said.append
    out = tmp_path / "out"
    result = predict(
        detect_model, sources, PredictConfig(out=out, conf=0.8, reconnect=0), progress=progress
    )
    assert [part.source.kind for part in result.parts] == ["stream", "video", "stream"]
    first, video, second = result.parts
    assert video.frames == 17  # files keep every frame
    assert video.objects == {"red": 17}
    assert result.objects["red"] == sum(part.objects.get("red", 0) for part in result.parts)
    assert video.stats.age_ms is None
    for part in (first, second):
        assert 0 < part.frames + part.stats.dropped <= 30
        assert part.stats.age_ms is not None
    assert result.frames == sum(part.frames for part in result.parts)
    assert result.source.kind == "several"
    codes = Counter(finding.code for finding in result.findings)
    assert codes == {"source.failed": 2, "stream.lost": 2}
    assert result.failed
    assert len([text for text in said if "fastest engine" not in text]) == 2
    assert all(part.backend == result.backend for part in result.parts)
    assert not any("secret" in text for text in [*said, *map(str, result.findings)])
    host = cameras[0].url.partition("://")[2]
    names = {path.relative_to(out).as_posix() for path in result.files}
    assert "yard/yard.mp4" in names
    assert "yard/detections.jsonl" in names
    assert len(names) == 6
    assert all(path.is_file() for path in result.files)
    for part in result.parts:
        lines = next(p for p in part.files if p.suffix == ".jsonl").read_bytes().splitlines()
        assert len(lines) == part.frames
        assert len(read_video(part.files[0])) == part.frames
    assert host.split("/")[0].replace(":", "-") in " ".join(names)
    told = result.as_json()
    assert orjson.loads(orjson.dumps(told)) == told
    assert [part["source"] for part in told["sources"]][1] == "yard.mp4"


def test_the_same_source_twice(detect_model: Path, tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", moving_square(3))
    result = predict(
        detect_model,
        listed(tmp_path / "s.txt", "a.mp4", "a.mp4"),
        PredictConfig(out=tmp_path / "out"),
    )
    assert {path.parent.name for path in result.files} == {"a", "a-2"}
    assert result.frames == 6
    assert not result.failed


def test_when_none_can_be_opened(detect_model: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        predict(
            detect_model,
            listed(tmp_path / "s.txt", "a.mp4", "b.mp4"),
            PredictConfig(out=tmp_path / "out"),
        )
    assert not (tmp_path / "out").exists()


def test_when_none_can_be_read(detect_model: Path, tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
        (tmp_path / name / "damaged.png").write_bytes(PNG[:40])
    with pytest.raises(DataError):
        predict(
            detect_model, listed(tmp_path / "s.txt", "a", "b"), PredictConfig(out=tmp_path / "out")
        )
    assert not (tmp_path / "out").exists()


class TestMeanwhile:
    def test_it_can_ask_all_to_stop(self) -> None:
        several = Several(
            "list", [Named(n, None, live=True, pause=0.002) for n in ("yard", "gate")], []
        )
        begun = {name: threading.Event() for name in ("yard", "gate")}

        def run(source: Named, stop: Stop) -> str:
            def use(frame: Frame, found: Detections) -> bool:
                begun[source.info.name].set()
                return True

            run_pipeline(source, detector_of(Reader()), use, stop=stop)
            return source.info.name

        def meanwhile(stop: Stop, ended: Callable[[], bool]) -> None:
            assert all(event.wait(30) for event in begun.values())
            assert not ended()
            stop.ask()

        assert run_each(several, run, lambda _: None, meanwhile) == ["yard", "gate"]

    def test_where_it_fails_nothing_goes_on(self) -> None:
        several = Several("list", [Named("yard", None, live=True, pause=0.002)], [])

        def run(source: Named, stop: Stop) -> None:
            run_pipeline(source, detector_of(Reader()), Used(), stop=stop)

        def meanwhile(stop: Stop, ended: Callable[[], bool]) -> None:
            raise MachineError("no window")

        with pytest.raises(MachineError, match="no window"):
            run_each(several, run, lambda _: None, meanwhile)


def test_sources_are_opened_at_the_same_time(tmp_path: Path) -> None:
    meeting = threading.Barrier(3, timeout=10)

    def opened(name: str) -> Numbers:
        meeting.wait()  # nobody gets past before all are here
        return Numbers(1)

    several = open_list(listed(tmp_path / "s.txt", 0, 1, 2), opened, lambda _: None)
    assert len(several.sources) == 3
    assert isinstance(next(iter(several.sources[0])), Frame)
