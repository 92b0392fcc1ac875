"""Chromium without a window, driven through its debugging pipe (the DevTools protocol, messages ended by NUL):
that is how a program types a user name and a password into it."""

import json
import os
import subprocess


def chromium(folder, *more):
    """The command: without a window, with a profile in `folder`, and nothing that asks the network by itself."""
    return [
        "chromium",
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-default-apps",
        "--disable-sync",
        "--disable-dev-shm-usage",
        f"--user-data-dir={folder}/profile",
        *more,
    ]


def through(proxy, certs):
    """More of it: all goes through `proxy`, and what the tests' CA signed is trusted."""
    return [
        f"--ignore-certificate-errors-spki-list={certs.spki}",
        f"--proxy-server={proxy.url}",
        "--proxy-bypass-list=<-loopback>",
    ]


class Browser:
    """`start(command)` runs a command with file descriptors 3 and 4 as the pipe's ends and returns the process."""

    def __init__(self, command, env):
        down, self.out = os.pipe()
        self.into, up = os.pipe()
        line = f'exec "$@" 3<&{down} 4>&{up}'
        self.process = subprocess.Popen(
            ["bash", "-c", line, "chromium", *map(str, command), "--remote-debugging-pipe"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=env,
            pass_fds=(down, up),
        )
        os.close(down)
        os.close(up)
        self.buffer, self.asked, self.answers, self.last = b"", 0, {}, 0

    def send(self, method, session=None, **params):
        self.last += 1
        message = {"id": self.last, "method": method, "params": params}
        if session:
            message["sessionId"] = session
        os.write(self.out, json.dumps(message).encode() + b"\0")
        return self.last

    def read(self):
        """The next message; None at the end."""
        while b"\0" not in self.buffer:
            data = os.read(self.into, 65536)
            if not data:
                return None
            self.buffer += data
        message, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(message)

    def ask(self, method, session=None, **params):
        """Sends, and serves what comes until the answer is there."""
        number = self.send(method, session, **params)
        while number not in self.answers:
            self.serve(self.read())
        return self.answers.pop(number)

    def serve(self, message):
        assert message is not None, f"the browser ended: {self.process.stderr.read()[-2000:]}"
        if "id" in message:
            assert "error" not in message, message
            self.answers[message["id"]] = message["result"]
            return None
        session, params = message.get("sessionId"), message["params"]
        if message["method"] == "Fetch.requestPaused":
            self.send("Fetch.continueRequest", session, requestId=params["requestId"])
        elif message["method"] == "Fetch.authRequired":
            assert params["authChallenge"]["source"] == "Proxy", params
            self.asked += 1
            reply = {"response": "ProvideCredentials", "username": self.user, "password": self.password}
            if self.asked > 3:
                reply = {"response": "CancelAuth"}
            self.send("Fetch.continueWithAuth", session, requestId=params["requestId"], authChallengeResponse=reply)
        return message["method"]

    def open(self, url, user, password):
        """Loads a page, logs in when asked, and returns the page's text."""
        self.user, self.password = user, password
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.ask("Fetch.enable", session, handleAuthRequests=True)
        self.ask("Page.enable", session)
        self.send("Page.navigate", session, url=url)
        while self.serve(self.read()) != "Page.loadEventFired":
            pass
        found = self.ask("Runtime.evaluate", session, expression="document.body.innerText")
        return found["result"]["value"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.close(self.out)
        os.close(self.into)
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stderr.close()
