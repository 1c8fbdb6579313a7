"""What all tests share: where the real data is, and a line that says whether it was used."""

from __future__ import annotations

import os
import signal
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings

# No test times anything: on a busy machine, an example takes as long as it takes. And the same tree
# gives the same result each time; new examples are looked for with --hypothesis-profile=explore.
settings.register_profile("explore", deadline=None)
settings.register_profile("same", deadline=None, derandomize=True)
settings.load_profile("same")

SHARED_VARIABLE = "DETECT_TL_SHARED"
ROOT = Path(__file__).parent.parent


def shared_folder() -> Path | None:
    """The folder of real data sets and weights, or None where a clone has none."""
    value = os.environ.get(SHARED_VARIABLE, "")
    return Path(value).resolve() if value and Path(value, "data").is_dir() else None


_CACHE = tempfile.TemporaryDirectory(prefix="detect-tl-tests-")


def pytest_configure() -> None:
    _keep_to_one_core()
    # what fixtures of a module or a session keep does not go to the person who runs the tests
    os.environ["XDG_CACHE_HOME"] = _CACHE.name
    # A run in the background of a shell ignores Ctrl-C, which some tests send to themselves.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _keep_to_one_core() -> None:
    """Give each of several processes of tests, and what it starts, a core to itself.

    Otherwise each would take them all, and a training takes longer when two share two cores.
    """
    number = os.environ.get("PYTEST_XDIST_WORKER", "").removeprefix("gw")
    if number and hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[int(number) % len(cores)]})


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "shared" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.shared)


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """An empty cache, and not that of the person who runs the tests."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data sets and weights; the test is skipped, saying why, without it."""
    folder = shared_folder()
    if folder is None:
        pytest.skip(f"{SHARED_VARIABLE} does not name a folder of real data sets")
    return folder


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the project's checkout."""
    return ROOT


def _mode() -> str:
    folder = shared_folder()
    if folder is None:
        return f"WITHOUT real data sets ({SHARED_VARIABLE} is not set): tests that need them skip"
    return f"WITH real data sets from {SHARED_VARIABLE}: none of their tests may skip"


def pytest_report_header() -> str:
    return f"detect-tl: {_mode()}"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    terminalreporter.write_line(f"detect-tl ran {_mode()}")


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """With the real data at hand, a skipped test that needs it is a failure of the run."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if shared_folder() is None or reporter is None:
        return
    skipped = [r.nodeid for r in reporter.stats.get("skipped", []) if "shared" in r.keywords]
    if skipped:
        reporter.write_line(f"skipped although the real data is there: {', '.join(skipped)}")
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
