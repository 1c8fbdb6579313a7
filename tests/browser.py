"""A real browser for tests of pages: headless Chromium, spoken to over a pair of pipes."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

_NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
_SWITCHES = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
    "--disable-extensions", "--disable-background-networking", "--remote-debugging-pipe",
)  # fmt: skip
_PATIENCE = 60.0


class Tab:
    """One open page, and all that it asked for and complained of."""

    def __init__(self, to: int, back: int) -> None:
        self._to, self._back = to, back
        self._number = 0
        self._rest = b""
        self._session: str | None = None
        self.events: list[dict[str, Any]] = []

    def attach(self) -> None:
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        done = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = done["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send one command and wait for its answer; what happens meanwhile goes to `events`."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                result: dict[str, Any] = answer["result"]
                return result
            self.events.append(answer)

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            more = os.read(self._back, 1 << 20)
            if not more:
                raise AssertionError("the browser went away")
            self._rest += more
        head, _, self._rest = self._rest.partition(b"\0")
        message: dict[str, Any] = json.loads(head)
        return message

    def show(self, page: Path, width: int, *, dark: bool = False) -> None:
        """Open a file at a width in CSS pixels, and wait until it is there."""
        self.open(page.resolve().as_uri(), width, dark=dark)

    def open(self, address: str, width: int, *, dark: bool = False) -> None:
        """Open an address at a width in CSS pixels, and wait until it is there."""
        self.call("Page.navigate", url="about:blank")  # what the page before does still is not ours
        self.events.clear()
        metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
        self.call("Emulation.setDeviceMetricsOverride", **metrics)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self.call("Page.navigate", url=address)
        protocol = address.partition("//")[0]
        self.wait(f"document.readyState + location.protocol === 'complete{protocol}'")

    def wait(self, expression: str) -> None:
        """Wait until a JavaScript expression holds on the page."""
        deadline = time.monotonic() + _PATIENCE
        while not self.value(expression):
            assert time.monotonic() < deadline, f"it does not become true: {expression}"
            time.sleep(0.02)

    def choose(self, selector: str, *files: Path) -> None:
        """Put files into an input of the page, as a person does who picks them."""
        root = self.call("DOM.getDocument")["root"]["nodeId"]
        node = self.call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.call("DOM.setFileInputFiles", nodeId=node, files=[str(file) for file in files])

    def value(self, expression: str) -> Any:
        """What a JavaScript expression is worth on the page; promises are waited for."""
        done = self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in done, done
        return done["result"].get("value")

    def screenshot(self, path: Path) -> None:
        done = self.call("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(done["data"]))

    @property
    def requests(self) -> list[str]:
        """Addresses that the page asked for, beside itself and what it holds."""
        sent = [e["params"] for e in self.events if e["method"] == "Network.requestWillBeSent"]
        asked = [e["request"]["url"] for e in sent if e["type"] != "Document"]
        return [address for address in asked if not address.startswith("data:")]

    @property
    def received(self) -> list[dict[str, Any]]:
        """What came over WebSockets as JSON, in its order."""
        kind = "Network.webSocketFrameReceived"
        texts = [e["params"]["response"]["payloadData"] for e in self.events if e["method"] == kind]
        return [json.loads(text) for text in texts if text.startswith("{")]

    @property
    def sockets(self) -> list[str]:
        """Addresses of the WebSockets that were opened."""
        made = [e["params"] for e in self.events if e["method"] == "Network.webSocketCreated"]
        return [one["url"] for one in made]

    @property
    def complaints(self) -> list[str]:
        """Errors, warnings and messages of the console."""
        kinds = ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded")
        return [json.dumps(e["params"]) for e in self.events if e["method"] in kinds]


@contextmanager
def browser(profile: Path, *switches: str) -> Iterator[Tab]:
    """An empty tab; the test is skipped, saying why, where no Chromium is installed.

    switches: of Chromium, beside those that make it quiet.
    """
    program = next((found for name in _NAMES if (found := shutil.which(name))), None)
    if program is None:
        pytest.skip("no Chromium is installed (Debian: apt-get install chromium)")
    theirs_in, to = os.pipe()
    back, theirs_out = os.pipe()
    # Chromium reads commands from descriptor 3 and answers on 4.
    start = f'exec 3<&{theirs_in} 4>&{theirs_out}; exec "$0" "$@"'
    options = [*_SWITCHES, f"--user-data-dir={profile}", *switches]
    command = ["bash", "-c", start, program, *options]
    process = subprocess.Popen(command, pass_fds=(theirs_in, theirs_out), stderr=subprocess.DEVNULL)
    os.close(theirs_in)
    os.close(theirs_out)
    try:
        tab = Tab(to, back)
        tab.attach()
        yield tab
    finally:
        process.kill()
        process.wait()
        os.close(to)
        os.close(back)
