"""A real headless Chromium, driven through chromedriver by the W3C WebDriver protocol: no package beyond requests."""

import base64
import shutil
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

from support.local_server import free_port, wait_until_healthy

BINARIES = ("chromium", "chromium-browser", "google-chrome")
OPTIONS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--window-size=1500,1100"),
)
LOGGED = {"browser": "ALL", "performance": "ALL"}
SHOWS = """
const [words] = arguments, holds = node => node.innerText?.includes(words);
const innermost = node => holds(node) && ![...node.children].some(holds);
return [...document.body.querySelectorAll('*')].filter(innermost).some(node => {
    const box = node.getBoundingClientRect();
    const within = box.left >= 0 && box.top >= 0 && box.right <= innerWidth && box.bottom <= innerHeight;
    const above = document.elementFromPoint((box.left + box.right) / 2, (box.top + box.bottom) / 2);
    return within && box.width * box.height > 0 && above !== null && (node.contains(above) || above.contains(node));
});
"""


class Browser:
    """One window."""

    def __init__(self, session: str) -> None:
        self.session = session

    def _call(self, path: str, **body: Any) -> Any:
        answer = requests.post(f"{self.session}/{path}", json=body, timeout=90).json()["value"]
        if isinstance(answer, dict) and "error" in answer:
            raise RuntimeError(f"{path}: {answer['message']}")
        return answer

    def open(self, address: str) -> None:
        """Go to an address, and wait until it is loaded."""
        self._call("url", url=address)

    def run(self, script: str, *arguments: Any) -> Any:
        """What `script`, the body of a JavaScript function, returns."""
        return self._call("execute/sync", script=script, args=arguments)

    def text(self) -> str:
        """The text that is seen."""
        return str(self.run("return document.body.innerText"))

    def wait_for(self, *words: str, seconds: float = 60) -> str:
        """Wait until all `words` are seen; return the text. Raises AssertionError with what is seen instead."""
        return self._wait(words, all, seconds)

    def wait_for_one(self, *words: str, seconds: float = 60) -> str:
        """Wait until one of `words` is seen; return it. Raises AssertionError with what is seen instead."""
        text = self._wait(words, any, seconds)
        return next(word for word in words if word in text)

    def _wait(self, words: tuple[str, ...], enough: Callable[[Iterable[bool]], bool], seconds: float) -> str:
        end = time.monotonic() + seconds
        while not enough(word in (text := self.text()) for word in words):
            assert time.monotonic() < end, f"{enough.__name__} of {words} not seen in: {text[:3000]}"
            time.sleep(0.3)
        return text

    def click(self, path: str, seconds: float = 30) -> None:
        """Click on what an XPath finds, once it is there and rests: on a page that still moves, the click misses."""
        end, place = time.monotonic() + seconds, None
        while True:
            try:
                found = self._call("element", using="xpath", value=path)
                before, place = place, self.run("return arguments[0].getBoundingClientRect().toJSON()", found)
                if place == before:
                    (element,) = found.values()
                    self._call(f"element/{element}/click")
                    return
            except RuntimeError:
                if time.monotonic() > end:
                    raise
            assert time.monotonic() < end + 1, f"{path} does not come to rest"
            time.sleep(0.2)

    def press(self, *keys: str) -> None:
        """Press keys one after the other, as WebDriver writes them: '\ue014' is the right arrow, '\ue00c' Escape."""
        strokes = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
        self._call("actions", actions=[{"type": "key", "id": "keyboard", "actions": strokes}])

    def resize(self, width: int, height: int) -> None:
        """Give the page so many pixels, as a phone or a large screen would."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.devtools("Emulation.setDeviceMetricsOverride", **metrics)

    def devtools(self, command: str, **parameters: Any) -> Any:
        """What a command of Chromium's own protocol answers."""
        return self._call("goog/cdp/execute", cmd=command, params=parameters)

    def screenshot(self) -> bytes:
        """What is seen, as PNG."""
        return base64.b64decode(requests.get(f"{self.session}/screenshot", timeout=90).json()["value"])

    def log(self, kind: str) -> list[dict[str, Any]]:
        """The entries since the last call: 'browser' for the console, 'performance' for what was requested."""
        return list(self._call("se/log", type=kind))

    def frame(self, path: str | None) -> None:
        """Go into the frame that an XPath finds; None goes back to the page."""
        self._call("frame", id=None if path is None else self._call("element", using="xpath", value=path))

    def shows(self, words: str) -> bool:
        """Whether an element with these words lies whole in the window, without scrolling, and nothing lies over it."""
        return bool(self.run(SHOWS, words))

    def hidden_width(self) -> int:
        """Pixels of the page that are seen only by scrolling sideways."""
        page = "document.documentElement"
        return int(self.run(f"return {page}.scrollWidth - {page}.clientWidth"))


@contextmanager
def running_browser(folder: Path) -> Iterator[Browser]:
    """A browser with a profile of its own in `folder`; skips the test where Chromium is not installed."""
    binary = next(filter(None, map(shutil.which, BINARIES)), None)
    if binary is None or shutil.which("chromedriver") is None:
        pytest.skip("needs Chromium: apt-get install chromium chromium-driver")
    port = free_port()
    log = folder / "chromedriver.log"
    with log.open("wb") as stream:
        driver = subprocess.Popen(["chromedriver", f"--port={port}"], stdout=stream, stderr=stream)
    address = f"http://127.0.0.1:{port}"
    try:
        wait_until_healthy(f"{address}/status", driver, log)
        options = {"binary": binary, "args": [*OPTIONS, f"--user-data-dir={folder / 'profile'}"]}
        wanted = {"browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": LOGGED}
        capabilities: dict[str, Any] = {"alwaysMatch": wanted}
        made = requests.post(f"{address}/session", json={"capabilities": capabilities}, timeout=120).json()["value"]
        session = f"{address}/session/{made['sessionId']}"
        yield Browser(session)
        requests.delete(session, timeout=30)
    finally:
        driver.terminate()
        driver.wait()
