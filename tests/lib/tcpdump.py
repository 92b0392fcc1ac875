"""A tcpdump as one would start it, on loopback or on all interfaces of the namespace that the caller is in."""

import os
import signal
import socket
import subprocess
import tempfile

from netns import die_with_parent
from viaduct import wait_until


class Tcpdump:
    """A context manager; the packets are in the file `path` once it is left, or stopped.  `remove` ends it for good."""

    LAST = b"viaduct-test-last"

    def __init__(self, interface="lo", expression="tcp or icmp or icmp6"):
        with tempfile.NamedTemporaryFile(prefix="viaduct-", suffix=".pcap", delete=False) as file:
            self.path = file.name
        self.process = subprocess.Popen(
            ["tcpdump", "-n", "-U", "-i", interface, "-B", "32768", "-Z", "root", "-w", self.path]
            + [f"({expression}) or udp port 9"],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=die_with_parent,
        )
        for line in self.process.stderr:
            if "listening on" in line:
                return
        raise AssertionError("tcpdump did not start")

    def has_last(self):
        with open(self.path, "rb") as file:
            return self.LAST in file.read()

    def stop(self):
        """What went by before is in the file when the last datagram is."""
        if self.process.returncode is not None:
            return
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.sendto(self.LAST, ("127.0.0.1", 9))
        wait_until(self.has_last, "tcpdump to write")
        self.process.send_signal(signal.SIGINT)
        self.process.wait(30)
        lost = [line for line in self.process.stderr if "dropped by kernel" in line]
        self.process.stderr.close()
        assert not lost or lost[0].startswith("0 "), lost

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def remove(self):
        self.process.kill()
        self.process.wait()
        self.process.stderr.close()
        os.unlink(self.path)
