"""Chromium without a window, spoken to through pipes (DevTools protocol): no library, no port, no network."""
import base64
import json
import os
import select
import shutil
import subprocess
import time

PATIENCE = 120  # seconds for one answer: a slow machine


def find():
    return next((path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None)


class Chromium:
    """One browser with one page; what its page asks for and complains of is kept in `requests` and `complaints`."""

    def __init__(self, program, profile):
        theirs_in, self.to_them = os.pipe()
        self.from_them, theirs_out = os.pipe()
        self.requests, self.complaints, self.number, self.rest, self.session = [], [], 0, b"", None
        flags = ["--headless=new", "--remote-debugging-pipe", "--no-first-run", "--disable-gpu", "--disable-dev-shm-usage",
                 "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions",
                 "--hide-scrollbars", "--proxy-server=127.0.0.1:9", f"--user-data-dir={profile}", "about:blank"]
        if os.getuid() == 0:
            flags.insert(0, "--no-sandbox")
        # The protocol reads from 3 and writes to 4.
        self.process = subprocess.Popen(["bash", "-c", f'exec "$0" "$@" 3<&{theirs_in} 4>&{theirs_out}', program, *flags],
                                        pass_fds=(theirs_in, theirs_out), stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        os.close(theirs_in), os.close(theirs_out)
        page = next(t for t in self.call("Target.getTargets")["targetInfos"] if t["type"] == "page")
        self.session = self.call("Target.attachToTarget", targetId=page["targetId"], flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Log", "Runtime"):
            self.call(domain + ".enable")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            self.session = None
            self.call("Browser.close")
            self.process.wait(PATIENCE)
        except (RuntimeError, OSError, subprocess.TimeoutExpired):
            self.process.kill()
            self.process.wait()
        os.close(self.to_them), os.close(self.from_them)

    def message(self):
        end = time.monotonic() + PATIENCE
        while b"\0" not in self.rest:
            ready, _, _ = select.select([self.from_them], [], [], max(0, end - time.monotonic()))
            found = os.read(self.from_them, 1 << 20) if ready else b""
            if not found:
                raise RuntimeError("Chromium ended, or did not answer")
            self.rest += found
        line, self.rest = self.rest.split(b"\0", 1)
        return json.loads(line)

    def call(self, method, **parameters):
        self.number += 1
        call = {"id": self.number, "method": method, "params": parameters} | ({"sessionId": self.session} if self.session else {})
        text = json.dumps(call).encode() + b"\0"
        while text:
            text = text[os.write(self.to_them, text):]
        while True:
            found = self.message()
            if found.get("id") == self.number:
                if "error" in found:
                    raise RuntimeError(f"{method}: {found['error']}")
                return found["result"]
            self.note(found)

    def note(self, event):
        what, p = event.get("method"), event.get("params")
        if what == "Network.requestWillBeSent":
            self.requests.append(p["request"]["url"])
        elif what == "Log.entryAdded":
            self.complaints.append(p["entry"]["text"])
        elif what == "Runtime.consoleAPICalled" or what == "Runtime.exceptionThrown":
            self.complaints.append(json.dumps(p)[:300])
        return what

    def open(self, path, width=1000, dark=False):
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        self.call("Page.navigate", url=path.resolve().as_uri())
        while self.note(self.message()) != "Page.loadEventFired":
            pass

    def ask(self, script):
        """Value of an expression of JavaScript in the page."""
        found = self.call("Runtime.evaluate", expression=script, returnByValue=True)
        if "exceptionDetails" in found:
            raise RuntimeError(json.dumps(found["exceptionDetails"])[:500])
        return found["result"].get("value")

    def picture(self, path):
        """The whole page as a PNG."""
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": min(size["height"], 12000), "scale": 1}
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)["data"]))

    def print_to(self, path):
        found = self.call("Page.printToPDF", preferCSSPageSize=True, printBackground=True)
        path.write_bytes(base64.b64decode(found["data"]))
