"""Real clients reach real targets through the proxy.

All of it lives in one network namespace that has nothing but loopback: what a client would like to ask
of the world beside its task cannot leave."""

import os
import pathlib
import subprocess
import sys
import threading

import pytest

from chromium import chromium, through
from netns import Namespace
from target import FileTarget, reply
from viaduct import Proxy
from world import World, git

HERE = pathlib.Path(__file__).resolve().parent
BODY = b"<!doctype html><title>t</title><p>reached</p>" + b"<!-- padding -->" * 5000
PAGE = (
    b"<!doctype html><title>page</title><p id=p>waiting</p><img src=/i.svg>"
    b"<script>fetch('/data').then(r => r.text()).then(t => document.getElementById('p').textContent = t)</script>"
)


@pytest.fixture(scope="module")
def namespace_and_proxy():
    with Namespace() as ns:
        with Proxy(
            command=ns.command,
            hosts=[("127.0.0.1", "target.test")],
            resolver="hosts hosts; servers 127.0.0.1:9; timeout 200ms;",
            limits="resolve-timeout 1s;",
        ) as proxy:
            yield ns, proxy


@pytest.fixture
def world(namespace_and_proxy, certs):
    ns, shared = namespace_and_proxy
    shared.settle()
    with World(ns, shared, certs) as world:
        yield world


BOTH = pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])


@BOTH
def test_curl(world, tls):
    target = world.target(lambda r: reply(r.body or BODY), tls)
    common = ["curl", "-sS", "--max-time", "30", "-x", world.proxy.url, "--cacert", world.certs.ca]
    assert world.run(*common, world.url(target)).stdout.encode() == BODY
    head = world.run(*common, "-I", world.url(target)).stdout
    assert "HTTP/1.1 200 OK" in head
    assert ("HTTP/1.1 200 Connection established" in head) == tls
    (world.folder / "up").write_bytes(b"u" * 2_000_000)
    assert len(world.run(*common, "-T", "up", world.url(target)).stdout) == 2_000_000
    assert len(world.run(*common, "--data-binary", "@up", world.url(target)).stdout) == 2_000_000
    many = world.run(*common, *[world.url(target)] * 5).stdout
    assert many.encode() == BODY * 5
    # curl's close_notify may be overtaken by the RST of its close
    world.ended("ok", "reset-by-client") if tls else world.ended("ok")


def test_curl_shows_why(world):
    """What a user sees of a failure: the status line."""
    done = world.run("curl", "-sSv", "-x", world.proxy.url, "https://nowhere.test/", check=False)
    assert (
        done.returncode == 56 and "502 Bad Gateway (upstream-unresolved" in done.stderr
    ), done.stderr
    done = world.run("curl", "-sS", "-x", world.proxy.url, "http://target.test:1/")
    assert "upstream-refused" in done.stdout


@BOTH
def test_wget(world, tls):
    target = world.target(lambda r: reply(BODY), tls)
    env = {"http_proxy": world.proxy.url, "https_proxy": world.proxy.url}
    world.run(
        "wget",
        "-q",
        "--tries=1",
        "--timeout=20",
        f"--ca-certificate={world.certs.ca}",
        "-O",
        "got",
        world.url(target),
        env=env,
    )
    assert (world.folder / "got").read_bytes() == BODY
    world.ended("ok")


def make_repository(world):
    """A bare repository with a few megabytes in it."""
    work = world.folder / "work"
    git(world, "init", "-q", work)
    for i in range(3):
        (work / f"file{i}").write_bytes(os.urandom(1_000_000))
        git(world, "add", ".", cwd=work)
        git(world, "commit", "-q", "-m", f"commit {i}", cwd=work)
    bare = world.folder / "repository.git"
    git(world, "clone", "-q", "--bare", work, bare)
    git(world, "config", "http.receivepack", "true", cwd=bare)
    git(world, "update-server-info", cwd=bare)
    return bare


def git_backend(root):
    """git's own CGI program as an answering function."""
    program = (
        pathlib.Path(
            subprocess.run(
                ["git", "--exec-path"], capture_output=True, text=True, check=True
            ).stdout.strip()
        )
        / "git-http-backend"
    )

    def answer(request):
        path, _, query = request.path.partition("?")
        env = {
            "PATH": os.environ["PATH"],
            "GIT_PROJECT_ROOT": str(root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REQUEST_METHOD": request.method,
            "REMOTE_ADDR": "127.0.0.1",
            "REMOTE_USER": "t",
            "CONTENT_TYPE": request.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(request.body)),
            "HTTP_CONTENT_ENCODING": request.get("Content-Encoding", ""),
            "HOME": str(root),
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "safe.directory",
            "GIT_CONFIG_VALUE_0": "*",
            "GIT_PROTOCOL": request.get("Git-Protocol", ""),
        }
        out = subprocess.run(
            [program], input=request.body, capture_output=True, env=env, check=True
        ).stdout
        head, body = out.split(b"\r\n\r\n", 1)
        fields = head.decode().split("\r\n")
        status = next((f.split(": ", 1)[1] for f in fields if f.startswith("Status: ")), "200 OK")
        return reply(
            body, status, *[f for f in fields if not f.startswith(("Status:", "Content-Length:"))]
        )

    return answer


@BOTH
def test_git_clone_and_push(world, tls):
    bare = make_repository(world)
    target = world.target(git_backend(world.folder), tls)
    copy = world.folder / "copy"
    git(world, "clone", "-q", world.url(target, "/repository.git"), copy)
    assert (copy / "file2").read_bytes() == (world.folder / "work" / "file2").read_bytes()
    (copy / "more").write_bytes(os.urandom(2_000_000))
    git(world, "add", ".", cwd=copy)
    git(world, "commit", "-q", "-m", "more", cwd=copy)
    git(world, "push", "-q", "origin", "main", cwd=copy)
    assert (
        git(world, "rev-parse", "main", cwd=bare).stdout
        == git(world, "rev-parse", "main", cwd=copy).stdout
    )
    world.ended("ok")


def test_git_clone_over_dumb_http(world):
    make_repository(world)
    target = world.target(world.folder, kind=FileTarget)
    git(world, "clone", "-q", world.url(target, "/repository.git"), world.folder / "copy")
    assert (world.folder / "copy" / "file0").stat().st_size == 1_000_000


@BOTH
def test_apt_get(world, tls):
    """apt-get update and install from a repository of one package, into a root of its own."""
    package, pool, root = world.folder / "package", world.folder / "pool", world.folder / "root"
    (package / "DEBIAN").mkdir(parents=True)
    (package / "DEBIAN" / "control").write_text(
        "Package: viaduct-sample\nVersion: 1.0\nArchitecture: all\nMaintainer: t <t@test>\nDescription: sample\n"
    )
    (package / "usr/share/viaduct-sample").mkdir(parents=True)
    (package / "usr/share/viaduct-sample/data").write_bytes(os.urandom(1_000_000))
    pool.mkdir()
    world.run("dpkg-deb", "--root-owner-group", "-b", package, pool)
    (pool / "Packages").write_text(world.run("dpkg-scanpackages", "-m", ".", cwd=pool).stdout)
    for part in (
        "var/lib/dpkg/info",
        "var/lib/dpkg/updates",
        "state/lists/partial",
        "cache/archives/partial",
        "log",
    ):
        (root / part).mkdir(parents=True)
    for part in ("var/lib/dpkg/status", "var/lib/dpkg/available", "var/lib/dpkg/diversions"):
        (root / part).touch()
    target = world.target(pool, tls, kind=FileTarget)
    (root / "sources.list").write_text(f"deb [trusted=yes] {world.url(target)} ./\n")
    settings = {
        "Dir::Etc::Parts": "/dev/null",
        "Dir::Etc::Main": "/dev/null",
        "Dir::Etc::SourceList": root / "sources.list",
        "Dir::Etc::SourceParts": "/dev/null",
        "Dir::Etc::PreferencesParts": "/dev/null",
        "Dir::State": root / "state",
        "Dir::State::status": root / "var/lib/dpkg/status",
        "Dir::Cache": root / "cache",
        "Dir::Log": root / "log",
        "APT::Sandbox::User": "root",
        "Acquire::http::Proxy": world.proxy.url,
        "Acquire::https::Proxy": world.proxy.url,
        "Acquire::https::CAInfo": world.certs.ca,
        "Acquire::Retries": "0",
        "APT::Get::Assume-Yes": "true",
        "Acquire::Languages": "none",
        "Dpkg::Use-Pty": "false",
    }
    text = "".join(f'{name} "{value}";\n' for name, value in settings.items())
    text += (
        f'Dpkg::Options {{ "--root={root}"; "--log={root}/log/dpkg.log"; "--force-not-root"; }};\n'
    )
    (root / "apt.conf").write_text(text)
    env = {"APT_CONFIG": str(root / "apt.conf"), "DEBIAN_FRONTEND": "noninteractive"}
    world.run("apt-get", "update", env=env)
    world.run("apt-get", "install", "viaduct-sample", env=env)
    installed = root / "usr/share/viaduct-sample/data"
    assert installed.read_bytes() == (package / "usr/share/viaduct-sample/data").read_bytes()
    world.ended("ok", "target-error")  # a repository without InRelease gives 404


@BOTH
def test_pythons_urllib(world, tls):
    target = world.target(lambda r: reply(r.body or BODY), tls)
    program = """
import ssl, sys, urllib.request as u
proxy, url, ca = sys.argv[1:]
opener = u.build_opener(u.ProxyHandler({"http": proxy, "https": proxy}),
                        u.HTTPSHandler(context=ssl.create_default_context(cafile=ca)))
print(len(opener.open(url, timeout=20).read()))
print(len(opener.open(u.Request(url, data=b"x" * 100000), timeout=20).read()))
"""
    done = world.run(
        sys.executable, "-c", program, world.proxy.url, world.url(target), world.certs.ca
    )
    assert done.stdout.split() == [str(len(BODY)), "100000"]
    world.ended("ok")


@BOTH
def test_nodes_fetch_with_a_proxy_agent(world, tls):
    target = world.target(lambda r: reply(BODY), tls)
    done = world.run(
        "node",
        HERE / "fetch.js",
        world.proxy.url,
        world.url(target, "/a"),
        world.url(target, "/b"),
        env={"NODE_PATH": "/usr/share/nodejs", "CA": str(world.certs.ca), "NODE_NO_WARNINGS": "1"},
    )
    assert done.stdout.split() == ["200", str(len(BODY))] * 2
    world.ended("ok")


@BOTH
def test_chromium(world, tls):
    asked = threading.Event()

    def answer(request):
        if request.path == "/data":
            asked.set()
            return reply(b"reached by script", "200 OK", "Content-Type: text/plain")
        if request.path == "/":
            return reply(PAGE, "200 OK", "Content-Type: text/html")
        return reply(
            b"<svg xmlns='http://www.w3.org/2000/svg'/>", "200 OK", "Content-Type: image/svg+xml"
        )

    target = world.target(answer, tls)
    done = world.run(
        *chromium(world.folder, *through(world.proxy, world.certs)),
        "--virtual-time-budget=5000",
        "--dump-dom",
        world.url(target),
        seconds=90,
    )
    assert (
        asked.is_set() and "reached by script" in done.stdout
    ), f"{done.stdout}\n{done.stderr[-2000:]}"
    world.ended("ok", "reset-by-client", "client-gone")
