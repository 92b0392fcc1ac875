"""A private instance of tinyproxy: its own folder, a port of the kernel's choice."""

import shutil
import socket
import subprocess

from squid import free_port
from viaduct import open_folder, wait_until

# mounts of its own: it sees a resolver that nobody answers for, so that no query leaves the machine
ALONE = 'mount --bind "$1" /etc/resolv.conf && shift && exec "$@"'


class Tinyproxy:
    """A context manager.  settings: lines of its configuration; names: patterns of hosts that it refuses."""

    def __init__(self, settings="", names=()):
        self.folder, self.port, self.process = open_folder("viaduct-tinyproxy-"), free_port(), None
        (self.folder / "resolv.conf").write_text("nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
        (self.folder / "names").write_text("".join(f"{name}\n" for name in names))
        (self.folder / "conf").write_text(
            f"""
Port {self.port}
Listen 127.0.0.1
Timeout 20
MaxClients 20
LogLevel Critical
LogFile "{self.folder}/log"
Filter "{self.folder}/names"
{settings}
"""
        )

    def is_listening(self):
        assert self.process.poll() is None, (self.folder / "out").read_text()
        with socket.socket() as sock:
            return sock.connect_ex(("127.0.0.1", self.port)) == 0

    def __enter__(self):
        with open(self.folder / "out", "wb") as out:
            self.process = subprocess.Popen(
                ["unshare", "-m", "sh", "-c", ALONE, "sh", self.folder / "resolv.conf"]
                + ["tinyproxy", "-d", "-c", self.folder / "conf"],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
            )
        try:
            wait_until(self.is_listening, "tinyproxy to listen")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)
