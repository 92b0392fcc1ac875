"""Other proxies of Debian, run for real: a private instance in a folder of its own, on a port of the kernel's
choice, killed at the end.  They see a resolver that knows nothing, so that no query leaves the machine."""

import hashlib
import os
import shutil
import socket
import subprocess

from viaduct import open_folder, wait_until

SQUID = """http_port 127.0.0.1:{port}
visible_hostname proxy.test
hosts_file {dir}/hosts
dns_nameservers 127.0.0.1
dns_timeout 1 second
connect_timeout 2 seconds
forward_max_tries 1
cache deny all
cache_mem 0
cache_log {dir}/cache.log
cache_store_log none
access_log none
pid_filename {dir}/squid.pid
coredump_dir {dir}
pinger_enable off
shutdown_lifetime 0 seconds
netdb_filename none
max_filedescriptors 1024
workers 1
{more}
"""

TINYPROXY = """Port {port}
Listen 127.0.0.1
Timeout 20
MaxClients 20
LogLevel Critical
LogFile "{dir}/tinyproxy.log"
{more}
"""

# a child's own mounts: only it sees this resolver
RESOLVER = 'mount --bind "$1" /etc/resolv.conf && shift && exec "$@"'


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def accepts(port):
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


class Peer:
    """`more` are lines of its configuration; {dir} in them is its folder.  `files` are put there first."""

    def __init__(self, template, command, more="", files=None):
        self.folder = open_folder("viaduct-peer-")
        self.port = free_port()
        for name, text in {"resolv.conf": "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n", **(files or {})}.items():
            (self.folder / name).write_text(text)
        place = {"dir": self.folder, "port": self.port}
        conf = self.folder / "conf"
        conf.write_text(template.format(more=more.format(**place), **place))
        # not on standard output: a helper that lives on would hold the tests' own pipe
        with (self.folder / "out").open("w") as out:
            self.child = subprocess.Popen(
                ["unshare", "-m", "sh", "-c", RESOLVER, "sh", self.folder / "resolv.conf", *command, conf],
                stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True, env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
            )
        try:
            wait_until(lambda: self.child.poll() is not None or accepts(self.port), "the peer's port")
            assert self.child.poll() is None, self.log()
        except AssertionError:
            self.close()
            raise

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def log(self):
        return "\n".join(path.read_text() for path in self.folder.glob("*") if path.name in ("out", "cache.log"))

    def close(self):
        try:
            os.killpg(self.child.pid, 9)  # the helpers, too
        except ProcessLookupError:
            pass
        self.child.wait()
        shutil.rmtree(self.folder)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def squid(more, **files):
    return Peer(SQUID, ["squid", "--foreground", "-f"], more, {"hosts": "127.0.0.1 known.test\n", **files})


def squid_basic(rest, user="user", password="pass"):
    """Asks for Basic; `rest` are the rules behind."""
    hashed = subprocess.run(["openssl", "passwd", "-apr1", password], check=True, capture_output=True, text=True).stdout
    return squid(
        "auth_param basic program /usr/lib/squid/basic_ncsa_auth {dir}/passwd\nauth_param basic realm test\n"
        "acl known proxy_auth REQUIRED\nhttp_access deny !known\n" + rest,
        passwd=f"{user}:{hashed}",
    )


def squid_digest(rest, user="user", password="pass"):
    """Asks for Digest; `rest` are the rules behind."""
    ha1 = hashlib.md5(f"{user}:test:{password}".encode()).hexdigest()
    return squid(
        "auth_param digest program /usr/lib/squid/digest_file_auth -c {dir}/digest\nauth_param digest realm test\n"
        "acl known proxy_auth REQUIRED\nhttp_access deny !known\n" + rest,
        digest=f"{user}:test:{ha1}\n",
    )


def tinyproxy(more=""):
    return Peer(TINYPROXY, ["tinyproxy", "-d", "-c"], more)
