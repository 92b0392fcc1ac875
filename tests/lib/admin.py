"""A proxy with its console, as an administrator's browser finds it."""

import os
import subprocess

from console import Console
from squid import free_port
from viaduct import Proxy

CONSOLE = "console { listen 127.0.0.1:0; }"
NAME, PASSWORD = "root", "correct horse"
UPSTREAM = "iprep_proxy {\n    ENABLED off;\n    PROXY_HOST 192.0.2.1;\n    PROXY_PORT 80;\n}\n"


class Site(Proxy):
    """`viaduct serve` whose account may write its files; on a port that is known beforehand, so that the console
    can name it.  words: the dictionary of the language `language`, to ask for what a page says."""

    def __init__(self, **more):
        settings = {"console": CONSOLE, "log": "history history.db;", **more}
        super().__init__(listen=(f"127.0.0.1:{free_port()}",), **settings)

    def give(self, *names):
        """Files of a configuration belong to the account that the proxy runs as."""
        uid = os.stat(f"/proc/{self.pid}").st_uid
        for name in names:
            os.chown(self.folder / name, uid, -1)
            (self.folder / name).chmod(0o600)

    @property
    def site(self):
        return f"http://127.0.0.1:{self.console_port}"

    def administrator(self):
        """Makes an administrator, and is logged in; not by a page."""
        return Console(self).enter(self, NAME, PASSWORD)

    def enter(self, tab, console, path="/"):
        """Has a tab logged in with the session of `console`, on a page."""
        name, value = console.cookie.split("=", 1)
        tab.ask("Network.setCookie", url=self.site, name=name, value=value, httpOnly=True, sameSite="Strict")
        tab.open(self.site + path)
        tab.wait("document.querySelector('main h1')")
        return tab

    def curl(self, *arguments, **more):
        """curl by way of the proxy, in the background."""
        command = ["curl", "-sS", "-m", "60", "-x", self.url, *map(str, arguments)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **more)
