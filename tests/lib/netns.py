"""A network namespace that lives as long as one process that sleeps in it, and dies with the test.

lab.py has whole networks of them."""

import contextlib
import ctypes
import os
import signal
import subprocess
import threading

from viaduct import wait_until

LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNET = 0x40000000
PR_SET_PDEATHSIG = 1


def die_with_parent():
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


@contextlib.contextmanager
def entered(fd, kind, name="net"):
    """This thread is in the namespace `fd` of that kind (CLONE_NEW…, its name in /proc) and comes back to where it
    was; None: the body goes somewhere by itself."""
    back = os.open(f"/proc/self/task/{threading.get_native_id()}/ns/{name}", os.O_RDONLY)
    try:
        if fd is not None:
            enter(fd, kind)
        yield
    finally:
        enter(back, kind)
        os.close(back)


def enter(fd, kind):
    if LIBC.setns(fd, kind):
        raise OSError(ctypes.get_errno(), "setns")


class Namespace:
    """Loopback is up and nothing else is there; `run` adds what a test needs."""

    def __init__(self):
        self.holder = subprocess.Popen(
            ["unshare", "--net", "sleep", "infinity"],
            stdin=subprocess.DEVNULL,
            preexec_fn=die_with_parent,
        )
        own = os.readlink("/proc/self/ns/net")
        wait_until(lambda: os.readlink(f"/proc/{self.holder.pid}/ns/net") != own, "the namespace")
        self.run("ip link set lo up")

    @property
    def command(self):
        """What to put before a command so that it runs in here (exec: the process id stays)."""
        return ["nsenter", f"--net=/proc/{self.holder.pid}/ns/net", "--"]

    def run(self, *lines):
        for line in lines:
            subprocess.run([*self.command, *line.split()], check=True)

    def add_hole(self, *networks):
        """An interface that takes packets to these networks ("192.0.2.1/24") and gives no answer, ever."""
        self.run("ip tuntap add dev hole mode tun", "ip link set hole up")
        for network in networks:
            family = "-6" if ":" in network else "-4"
            self.run(
                f"ip {family} addr add {network} dev hole" + (" nodad" if family == "-6" else "")
            )

    @contextlib.contextmanager
    def entered(self):
        """This thread's new sockets belong to the namespace; sockets keep where they were made."""
        there = os.open(f"/proc/{self.holder.pid}/ns/net", os.O_RDONLY)
        try:
            with entered(there, CLONE_NEWNET):
                yield self
        finally:
            os.close(there)

    def close(self):
        self.holder.kill()
        self.holder.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
