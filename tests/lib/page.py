"""A tab of a real Chromium on the console's pages: it clicks and types as a person does, and notes whatever a
page must not do (errors, refused inline code, dialogs, requests that leave the machine)."""

import base64
import json
import pathlib
import select
import shutil
import tempfile
import time

from chromium import Browser, chromium
from viaduct import PATIENCE_S

SILENCE_S = 90

KEYS = {
    "Tab": (9, ""),
    "Enter": (13, "\r"),
    "Escape": (27, ""),
    "Space": (32, " "),
    "ArrowRight": (39, ""),
    "ArrowLeft": (37, ""),
    "ArrowDown": (40, ""),
    "Home": (36, ""),
    "End": (35, ""),
}

# What a test looks for: the elements that a selector finds, as a person sees them.
HELPERS = """
window.testing = {
  shown(e) { return e.checkVisibility({visibilityProperty: true}) && e.getClientRects().length > 0; },
  all(selector, text) {
    return [...document.querySelectorAll(selector)].filter(
      (e) => window.testing.shown(e) && (text === null || (e.innerText || e.getAttribute('aria-label') || '').includes(text)
        || (e.getAttribute('aria-label') || '').includes(text)));
  },
};
"""


class PageError(AssertionError):
    pass


class Chromium(Browser):
    """The browser, with a profile of its own.  `tab()` opens a tab in a context of its own: no cookie is shared."""

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="viaduct-page-"))
        command = chromium(
            self.folder,
            "--hide-scrollbars",
            "--force-color-profile=srgb",
            "--font-render-hinting=none",
            "--no-proxy-server",
        )
        super().__init__(command, {"PATH": "/usr/bin:/bin", "HOME": str(self.folder), "LANG": "C.UTF-8"})
        self.tabs = {}

    def read(self):
        """A browser that says nothing any more fails the test, instead of holding it up."""
        if b"\0" not in self.buffer:
            ready, _, _ = select.select([self.into], [], [], SILENCE_S)
            assert ready, f"the browser said nothing for {SILENCE_S} s"
        return super().read()

    def serve(self, message):
        assert message is not None, f"the browser ended: {self.process.stderr.read()[-2000:]}"
        if "id" in message:
            self.answers[message["id"]] = message
            return None
        tab = self.tabs.get(message.get("sessionId"))
        if tab:
            tab.take(message["method"], message["params"])
        return message["method"]

    def ask(self, method, session=None, **params):
        answer = super().ask(method, session, **params)
        if "error" in answer:
            raise PageError((method, answer))
        return answer["result"]

    def tab(self, language="en", **more):
        return Tab(self, language, **more)

    def __exit__(self, *arguments):
        super().__exit__(*arguments)
        shutil.rmtree(self.folder, ignore_errors=True)


class Tab:
    def __init__(self, browser, language="en", width=1280, height=800, dark=False):
        self.browser = browser
        self.context = browser.ask("Target.createBrowserContext")["browserContextId"]
        target = browser.ask("Target.createTarget", url="about:blank", browserContextId=self.context)
        self.target = target["targetId"]
        self.session = browser.ask("Target.attachToTarget", targetId=self.target, flatten=True)["sessionId"]
        browser.tabs[self.session] = self
        self.wrongs, self.requests, self.dialogs = [], [], []
        self.accept_dialogs, self.faked = True, {}
        for domain in ("Page", "Runtime", "Network", "Log", "DOM"):
            self.ask(f"{domain}.enable")
        self.ask("Page.addScriptToEvaluateOnNewDocument", source=HELPERS)
        self.ask(
            "Emulation.setUserAgentOverride",
            userAgent="Mozilla/5.0 (X11; Linux x86_64) Chrome",
            acceptLanguage=f"{language}",
        )
        self.size(width, height)
        self.theme(dark)

    def ask(self, method, **params):
        return self.browser.ask(method, self.session, **params)

    # -- what it must not do

    def take(self, method, params):
        if method == "Runtime.exceptionThrown":
            self.wrongs.append(params["exceptionDetails"].get("exception", {}).get("description", str(params)))
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "assert"):
            self.wrongs.append(str([a.get("value", a.get("description")) for a in params["args"]]))
        elif method == "Log.entryAdded" and params["entry"]["level"] == "error":
            entry = params["entry"]
            if entry["source"] != "network":  # an answer 4xx is the page's to show
                self.wrongs.append(f"{entry['source']}: {entry['text']}")
        elif method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif method == "Fetch.requestPaused":
            self.answer_fake(params)
        elif method == "Page.javascriptDialogOpening":
            self.dialogs.append(params["message"])
            self.browser.send("Page.handleJavaScriptDialog", self.session, accept=self.accept_dialogs)

    def is_clean(self, port):
        """Asserts that the page did nothing that it must not."""
        assert self.wrongs == [], self.wrongs
        assert self.dialogs == [], self.dialogs
        for url in self.requests:
            allowed = (f"http://127.0.0.1:{port}/", f"http://localhost:{port}/", "data:", "about:", "blob:")
            assert url.startswith(allowed), url

    # -- what it is told in the proxy's place

    def fake(self, answers):
        """path -> JSON, text, or None for no answer; all else comes from the proxy."""
        self.faked = answers
        if answers:
            self.ask("Fetch.enable", patterns=[{"urlPattern": "*/api/*"}, {"urlPattern": "*/readyz"}])
        else:
            self.ask("Fetch.disable")

    def answer_fake(self, params):
        path = params["request"]["url"].split("/", 3)[-1].split("?")[0]
        number, path = params["requestId"], f"/{path}"
        if path not in self.faked or params["request"]["method"] != "GET":
            self.browser.send("Fetch.continueRequest", self.session, requestId=number)
        elif self.faked[path] is None:
            self.browser.send("Fetch.failRequest", self.session, requestId=number, errorReason="Failed")
        else:
            answer = self.faked[path]
            text = answer if isinstance(answer, str) else json.dumps(answer)
            body = base64.b64encode(text.encode()).decode()
            kind = "text/event-stream" if text.startswith("event:") else "application/json"
            self.browser.send(
                "Fetch.fulfillRequest", self.session, requestId=number, responseCode=200, body=body,
                responseHeaders=[{"name": "Content-Type", "value": kind}],
            )  # fmt: skip

    # -- what it looks like

    def size(self, width, height, phone=False):
        self.width, self.height = width, height
        self.ask(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=phone
        )

    def theme(self, dark):
        value = "dark" if dark else "light"
        self.ask(
            "Emulation.setEmulatedMedia",
            features=[
                {"name": "prefers-color-scheme", "value": value},
                {"name": "prefers-reduced-motion", "value": "reduce"},
            ],
        )

    def screenshot(self):
        return base64.b64decode(self.ask("Page.captureScreenshot", format="png", optimizeForSpeed=False)["data"])

    # -- what it does

    def run(self, script, **values):
        """The value of an expression of JavaScript; `values` are its variables."""
        head = "".join(f"const {name} = {json.dumps(value)};" for name, value in values.items())
        body = f"(async () => {{ {head} return ({script}); }})()"
        answer = self.ask("Runtime.evaluate", expression=body, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in answer:
            raise PageError(answer["exceptionDetails"]["exception"].get("description", answer))
        return answer["result"].get("value")

    def open(self, url):
        self.ask("Page.navigate", url=url)
        self.wait("document.readyState === 'complete'")

    def wait(self, script, seconds=PATIENCE_S, **values):
        """Waits until an expression is true, and returns its value; what it looks into may not be there yet, nor the
        document."""
        deadline, wrong = time.monotonic() + seconds, None
        while True:
            try:
                value = self.run(f"((v) => v instanceof Node ? true : v)({script})", **values)
                if value:
                    return value
            except PageError as error:
                wrong = error
            if time.monotonic() > deadline:
                raise PageError(f"waited for {script} {values}\n{self.text()[-3000:]}\n{self.wrongs}\n{wrong}")
            time.sleep(0.02)

    def text(self, selector="body"):
        return self.run("document.querySelector(s)?.innerText ?? ''", s=selector)

    def see(self, text, selector="body", seconds=PATIENCE_S):
        """Waits until a text is to be seen."""
        self.wait("document.querySelector(s)?.innerText.includes(t)", s=selector, t=text, seconds=seconds)

    def miss(self, text, selector="body", seconds=PATIENCE_S):
        self.wait("!document.querySelector(s)?.innerText.includes(t)", s=selector, t=text, seconds=seconds)

    def place(self, selector, text=None):
        """The middle of the first element that is found and seen."""
        return self.wait(
            "((e) => { if (!e || e.disabled) return null; e.scrollIntoView({block: 'center'});"
            " const r = e.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]; })"
            "(window.testing.all(s, t)[0])",
            s=selector,
            t=text,
        )

    def click(self, selector, text=None):
        x, y = self.place(selector, text)
        for kind in ("mousePressed", "mouseReleased"):
            self.ask("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def key(self, name, shift=False):
        code, text = KEYS[name]
        more = {"text": text} if text else {}
        key = " " if name == "Space" else name
        for kind in ("keyDown", "keyUp"):
            self.ask(
                "Input.dispatchKeyEvent",
                type=kind,
                key=key,
                code=name,
                windowsVirtualKeyCode=code,
                modifiers=8 if shift else 0,
                **(more if kind == "keyDown" else {}),
            )

    def type(self, text):
        """Into what has the focus."""
        self.ask("Input.insertText", text=text)

    def fill(self, label, text):
        """Types into the field of a label, in place of what is there."""
        self.wait("window.testing.all('label', l).length > 0", l=label)
        self.run(
            "((e) => { const f = e.control; f.focus(); f.select?.(); })(window.testing.all('label', l)[0])", l=label
        )
        if text:
            self.type(text)
        else:
            self.run("document.execCommand('delete')")

    def choose(self, label, value):
        """An option of the select of a label."""
        self.run(
            "((e) => { e.value = v; for (const name of ['input', 'change']) e.dispatchEvent(new Event(name,"
            " {bubbles: true})); })([...document.querySelectorAll('select')].find((s) => s.ariaLabel === l"
            " || s.labels[0]?.innerText.startsWith(l)))",
            l=label,
            v=value,
        )

    def focused(self):
        """What has the focus, as a person hears it."""
        return self.run(
            "((e) => (e.getAttribute('aria-label') || e.innerText || e.labels?.[0]?.innerText || e.tagName).trim())"
            "(document.activeElement)"
        )

    def tab_to(self, text, limit=80):
        """Presses Tab until what has the focus says `text`."""
        for _ in range(limit):
            self.key("Tab")
            if text in self.focused():
                return
        raise PageError(f"{limit} times Tab did not lead to {text!r}, but to {self.focused()!r}")

    def give_file(self, selector, path):
        node = self.ask("Runtime.evaluate", expression=f"document.querySelector({json.dumps(selector)})")
        self.ask("DOM.setFileInputFiles", files=[str(path)], objectId=node["result"]["objectId"])

    def close(self):
        self.browser.ask("Target.disposeBrowserContext", browserContextId=self.context)
        self.browser.tabs.pop(self.session, None)
