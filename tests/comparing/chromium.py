"""Chromium without a window, spoken to through a pipe: opens pages, runs scripts in them, takes pictures."""

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

FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--remote-debugging-pipe"),
)
LIMIT_S = 120


def chromium() -> str | None:
    """Where the browser is, if there is one."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return next((found for found in map(shutil.which, names) if found), None)


@contextmanager
def started(profile: Path) -> Iterator["Tab"]:
    """A browser with one tab; ends with the block."""
    to_read, to_write = os.pipe()
    from_read, from_write = os.pipe()
    # The browser reads from its file 3 and writes to its file 4.
    command = f'exec "$0" "$@" 3<&{to_read} 4>&{from_write}'
    words = ["bash", "-c", command, str(chromium()), *FLAGS, f"--user-data-dir={profile}", "about:blank"]
    with subprocess.Popen(
        words, pass_fds=(to_read, from_write), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        os.close(to_read)
        os.close(from_write)
        tab = Tab(to_write, from_read)
        try:
            tab.attach()
            yield tab
        finally:
            os.close(to_write)  # the browser ends when nobody can speak to it any more
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
            os.close(from_read)


class Tab:
    """One tab: what was complained of in it is in ``complaints``, what it asked the network for in ``asked``."""

    def __init__(self, to: int, of: int) -> None:
        self.to, self.of = to, of
        self.rest = b""
        self.number = 0
        self.session: str | None = None
        self.complaints: list[str] = []
        self.asked: list[str] = []

    def attach(self) -> None:
        pages = [each for each in self.call("Target.getTargets")["targetInfos"] if each["type"] == "page"]
        target = pages[0]["targetId"] if pages else self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **given: Any) -> dict[str, Any]:
        """One command of the DevTools protocol and its answer; what the page says meanwhile is noted."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": given}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.to, json.dumps(message).encode() + b"\0")
        while (got := self._message()).get("id") != self.number:
            self._note(got)
        if "error" in got:
            raise RuntimeError(f"{method}: {got['error']['message']}")
        return got["result"]

    def _message(self) -> dict[str, Any]:
        while b"\0" not in self.rest:
            if not (more := os.read(self.of, 1 << 20)):
                raise RuntimeError("the browser ended")
            self.rest += more
        one, _, self.rest = self.rest.partition(b"\0")
        return json.loads(one)

    def _note(self, event: dict[str, Any]) -> None:
        given = event.get("params", {})
        if event["method"] == "Runtime.exceptionThrown":
            details = given["exceptionDetails"]
            self.complaints.append(details.get("exception", {}).get("description") or details["text"])
        elif event["method"] == "Log.entryAdded" and given["entry"]["level"] in ("error", "warning"):
            self.complaints.append(f"{given['entry']['text']} {given['entry'].get('url', '')}")
        elif event["method"] == "Runtime.consoleAPICalled" and given["type"] in ("error", "warning", "assert"):
            self.complaints.append(" ".join(str(each.get("value", each)) for each in given["args"]))
        elif event["method"] == "Network.requestWillBeSent":
            self.asked.append(given["request"]["url"][:200])

    def run(self, script: str) -> Any:
        """The value of an expression in the page; a promise is waited for."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise AssertionError(answer["exceptionDetails"].get("exception", {}).get("description", answer))
        return answer["result"].get("value")

    def load(self, address: str) -> None:
        """Load a page of comparison and wait until its panels are drawn."""
        self.call("Page.navigate", url="about:blank")
        self.call("Page.navigate", url=address)
        self.drawn()

    def open(self, address: str) -> None:
        """The same, without loading it again where it is there already: only what stands behind the # is new."""
        path, _, state = address.partition("#")
        if self.run("location.href.split('#')[0]") != path:
            self.load(address)
        else:
            self.do(
                f"history.replaceState(null, '', {json.dumps('#' + state)}); dispatchEvent(new Event('hashchange'))"
            )

    def drawn(self) -> None:
        """Wait until the panels are drawn."""
        end = time.monotonic() + LIMIT_S
        waiting = """new Promise((done) => {
          const look = () => (document.documentElement.dataset.drawn ? done(true) : setTimeout(look, 20));
          look();
          setTimeout(() => done(false), 5000);
        })"""
        while time.monotonic() < end:
            try:
                if self.run(waiting):
                    return
            except (RuntimeError, AssertionError):
                continue  # the page was not there yet
        raise AssertionError(f"the page was not drawn: {self.complaints}")

    def do(self, script: str) -> None:
        """Run a script that changes something, and wait until it is drawn."""
        self.run(script)
        self.drawn()

    def screen(self, width: int, height: int, dark: bool = False) -> None:
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 500
        )
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.call("Emulation.setEmulatedMedia", media="", features=scheme)
        self.run("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(0))))")

    def picture(self, path: Path, width: int, dark: bool = False) -> None:
        """The whole page, however long, as a person with so wide a screen would see it."""
        self.screen(width, 900, dark)
        self.drawn()
        self.screen(width, self.run("document.documentElement.scrollHeight"), dark)
        self.drawn()
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))
