"""A private instance of squid: its own folder, no cache, a port of the kernel's choice."""

import hashlib
import shutil
import socket
import subprocess

from viaduct import open_folder, wait_until

HELPERS = "/usr/lib/squid"


KEPT = []


def free_port():
    """A port of 127.0.0.1 for whoever listens with SO_REUSEADDR, as servers do.  It stays bound here, without
    listening, so that the kernel gives it to nobody else meanwhile."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("127.0.0.1", 0))
    KEPT.append(sock)
    return sock.getsockname()[1]


class Squid:
    """A context manager.  scheme: None, "basic" or "digest", with one account; rules: what stands before the
    last `http_access`; hosts: lines of a hosts file."""

    def __init__(self, scheme=None, user="fmc", password="s3cret!", rules="", hosts=()):
        self.folder, self.port, self.process = open_folder("viaduct-squid-"), free_port(), None
        self.log = self.folder / "access.log"
        (self.folder / "hosts").write_text("\n".join(hosts) + "\n")
        (self.folder / "squid.conf").write_text(
            f"""
http_port 127.0.0.1:{self.port}
pid_filename {self.folder}/squid.pid
access_log stdio:{self.log}
cache_log {self.folder}/cache.log
cache_store_log none
coredump_dir {self.folder}
hosts_file {self.folder}/hosts
dns_nameservers 127.0.0.1
cache deny all
cache_mem 8 MB
netdb_filename none
pinger_enable off
visible_hostname parent.test
shutdown_lifetime 0 seconds
{getattr(self, str(scheme).lower())(user, password)}
{rules}
http_access allow {"known" if scheme else "all"}
http_access deny all
"""
        )

    def none(self, *_):
        return ""

    def basic(self, user, password):
        line = subprocess.run(
            ["openssl", "passwd", "-apr1", password], check=True, capture_output=True, text=True
        ).stdout
        return self.account("basic", "basic_ncsa_auth", f"{user}:{line}")

    def digest(self, user, password):
        ha1 = hashlib.md5(f"{user}:parent:{password}".encode()).hexdigest()
        return self.account("digest", "digest_file_auth -c", f"{user}:parent:{ha1}\n")

    def account(self, scheme, helper, line):
        (self.folder / "accounts").write_text(line)
        return f"""
auth_param {scheme} program {HELPERS}/{helper} {self.folder}/accounts
auth_param {scheme} children 1 startup=1
auth_param {scheme} realm parent
acl known proxy_auth REQUIRED
"""

    def is_listening(self):
        assert self.process.poll() is None, (self.folder / "out").read_text()
        try:
            socket.create_connection(("127.0.0.1", self.port)).close()
        except OSError:
            return False
        return True

    def __enter__(self):
        for path in self.folder.iterdir():
            path.chmod(0o644)
        squid = shutil.which("squid", path="/usr/sbin:/usr/bin")
        with open(self.folder / "out", "wb") as out:
            self.process = subprocess.Popen(
                [squid, "-N", "-n", f"viaduct{self.port}", "-f", str(self.folder / "squid.conf")],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                cwd=self.folder,
            )
        try:
            wait_until(self.is_listening, "squid to listen")
        except BaseException:
            self.__exit__()
            raise
        return self

    def lines(self):
        """Its access log, without the connections that only looked whether it listens."""
        text = self.log.read_text() if self.log.exists() else ""
        return [line for line in text.splitlines() if " error:transaction-end" not in line]

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)
