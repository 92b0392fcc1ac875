"""viaduct upstream: what it writes, what it leaves alone, and that it tests before it saves."""

import json
import os
import pty
import select
import socket
import stat
import subprocess

import pytest

from target import HttpTarget, Target, reply
from viaduct import BINARY, Proxy

DOTS = "••••••"


@pytest.fixture
def conf(tmp_path):
    path = tmp_path / "viaduct.conf"
    path.write_text("user nobody;\n")
    return path


@pytest.fixture
def file(conf):
    return conf.parent / "upstream.conf"


@pytest.fixture(scope="module")
def world():
    """A proxy to save, and a URL that it reaches."""

    def answer(request):
        return reply(b"reached") if request.path == "/" else reply(b"", "404 Not Found")

    with HttpTarget(answer) as target:
        with Proxy(hosts=[("127.0.0.1", "target.test")]) as proxy:
            proxy.test_url = f"http://target.test:{target.port}/"
            yield proxy


def upstream(conf, *args, stdin=None, **more):
    """The password of a test never shows."""
    done = subprocess.run(
        [BINARY, "upstream", *args, "-c", str(conf)],
        input=stdin if stdin is not None else "",
        capture_output=True,
        text=True,
        timeout=60,
        **more,
    )
    assert "s3cret" not in done.stderr
    assert "s3cret" not in done.stdout or "--with-password" in args
    return done


def block(*statements):
    return "iprep_proxy {\n" + "".join(f"    {s};\n" for s in statements) + "}\n"


def write(file, *statements):
    file.write_text(block(*statements))
    file.chmod(0o600)


def closed_port():
    """A port that nobody listens on: it is bound, and not by a listener."""
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    return sock


def test_set_writes_the_two_that_are_needed(conf, file, world):
    done = upstream(
        conf, "set", "--host", "127.0.0.1", "--port", str(world.port), "--url", world.test_url
    )
    assert done.returncode == 0, done.stderr
    assert file.read_text() == block("PROXY_HOST 127.0.0.1", f"PROXY_PORT {world.port}")
    assert "systemctl reload viaduct" in done.stdout and str(file) in done.stdout
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    if os.geteuid() == 0:
        assert file.stat().st_uid == 65534
    assert sorted(p.name for p in file.parent.iterdir()) == ["upstream.conf", "viaduct.conf"]


def test_order_and_comments_stay(conf, file, world):
    file.write_text(
        "# mine\niprep_proxy {\n  # the port\n  PROXY_PORT 1; # one\n\n"
        "  PROXY_HOST a.example;\n} # end\n"
    )
    file.chmod(0o644)
    if os.geteuid() == 0:
        os.chown(file, 1234, 1235)
    args = [f"http://127.0.0.1:{world.port}", "NO_PROXY=.b.example,10.0.0.0/8 c"]
    done = upstream(conf, "set", *args, "--url", world.test_url)
    assert done.returncode == 0, done.stderr
    assert file.read_text() == (
        f"# mine\niprep_proxy {{\n  # the port\n  PROXY_PORT {world.port}; # one\n\n"
        "  PROXY_HOST 127.0.0.1;\n    NO_PROXY .b.example 10.0.0.0/8 c;\n} # end\n"
    )
    if os.geteuid() == 0:
        assert (file.stat().st_uid, file.stat().st_gid) == (1234, 1235)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_file_of_roots_goes_to_the_proxys_account(conf, file):
    write(file, "PROXY_HOST a", "PROXY_PORT 1")
    assert upstream(conf, "disable").returncode == 0
    assert file.stat().st_uid == 65534


def test_a_small_file_works_as_it_stands(conf, file, world):
    file.write_text(f"iprep_proxy {{ PROXY_HOST 127.0.0.1; PROXY_PORT {world.port}; }}")
    shown = json.loads(upstream(conf, "show", "--json").stdout)
    assert shown == {
        "file": str(file),
        "present": True,
        "enabled": True,
        "host": "127.0.0.1",
        "port": world.port,
        "user": None,
        "password": None,
        "tls": False,
        "ca": None,
        "no_proxy": [],
        "smart_licensing": False,
    }
    assert upstream(conf, "test", "--url", world.test_url).returncode == 0


def test_without_a_file_nothing_is_set(conf, file):
    done = upstream(conf, "show")
    assert done.returncode == 0 and "targets are connected directly" in done.stdout
    for verb in ("enable", "disable", "test", "export"):
        done = upstream(conf, verb)
        assert done.returncode == 2 and str(file) in done.stderr
    assert not file.exists()


def test_another_file_by_option(conf, file, world, tmp_path):
    other = tmp_path / "other.conf"
    args = [f"http://127.0.0.1:{world.port}", "--url", world.test_url]
    assert upstream(conf, "set", *args, "--file", str(other)).returncode == 0
    assert other.exists() and not file.exists()


def test_a_terminal_gets_text(conf, file):
    write(file, "PROXY_HOST p.example", "PROXY_PORT 80", 'PROXY_USER "a\x9b2Jb"')
    assert "\x9b" not in upstream(conf, "show").stdout
    assert "\x9b" not in upstream(conf, "show", "--json").stdout


def test_the_password_is_shown_as_dots(conf, file):
    write(file, "PROXY_HOST p.example", "PROXY_PORT 80", "PROXY_USER fmc", "PROXY_PASSWORD s3cret")
    shown = upstream(conf, "show").stdout
    assert DOTS in shown and "fmc" in shown
    assert json.loads(upstream(conf, "show", "--json").stdout)["password"] == DOTS
    exported = upstream(conf, "export").stdout
    assert "# PROXY_PASSWORD is left out" in exported
    assert upstream(conf, "export", "--with-password").stdout == file.read_text()


@pytest.mark.parametrize(
    "args",
    [
        ["--password", "s3cret"],
        ["--password=s3cret"],
        ["PROXY_PASSWORD=s3cret"],
        ["password=s3cret"],
        ["http://fmc:s3cret@127.0.0.1:80"],
        ["fmc:s3cret@127.0.0.1:80"],
        ["passwrd=s3cret"],
    ],
)
def test_no_password_by_argument(conf, file, args):
    done = upstream(conf, "set", *args)
    assert done.returncode == 2 and not file.exists()
    if "fmc:s3cret@127" not in args[0] or "http" in args[0]:
        assert "--password-file FILE" in done.stderr or "=…" in done.stderr


def test_a_password_from_a_file_and_from_standard_input(conf, file, world, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("s3cret one#\nnot this\n")
    base = ["set", f"http://fmc%40x@127.0.0.1:{world.port}", "--url", world.test_url]
    done = upstream(conf, *base, "--password-file", str(secret))
    assert done.returncode == 2 and "PROXY_PASSWORD: a password is of A-Z, a-z, 0-9" in done.stderr
    assert "found a space at byte 7" in done.stderr and not file.exists()
    secret.write_text("s3cret;#\"\\\nnot this\n")
    assert upstream(conf, *base, "--password-file", str(secret)).returncode == 0
    assert '    PROXY_USER fmc@x;\n    PROXY_PASSWORD "s3cret;#\\"\\\\";\n' in file.read_text()
    done = upstream(conf, "set", "--password-stdin", "--url", world.test_url, stdin="s3cret2\nx\n")
    assert done.returncode == 0 and "    PROXY_PASSWORD s3cret2;\n" in file.read_text()


def test_a_password_belongs_to_its_user(conf, file, world):
    statements = ["PROXY_HOST 127.0.0.1", f"PROXY_PORT {world.port}"]
    statements += ["PROXY_USER a", "PROXY_PASSWORD s3cret"]
    write(file, *statements)
    before = file.read_bytes()
    test = ["--url", world.test_url]
    done = upstream(conf, "set", "--user", "b", *test)
    assert done.returncode == 2 and "the password of the new user is missing" in done.stderr
    assert file.read_bytes() == before
    assert upstream(conf, "set", "--user", "a", *test).returncode == 0
    assert file.read_bytes() == before
    assert upstream(conf, "set", "--user", "b", "PROXY_PASSWORD=", *test).returncode == 0
    assert "s3cret" not in file.read_text() and "PROXY_USER b" in file.read_text()
    write(file, *statements)
    assert upstream(conf, "set", "--user", "", *test).returncode == 0
    assert "PROXY_USER" not in file.read_text() and "PROXY_PASSWORD" not in file.read_text()


LABEL = "a" * 63


@pytest.mark.parametrize(
    "args, says",
    [
        (["--host", "10.10.10.256"], 'PROXY_HOST "10.10.10.256": not an IPv4 address'),
        (["--host", "a..b"], 'PROXY_HOST "a..b": has an empty label'),
        (["--host", "a_b"], 'letters, digits, hyphens and dots only, found "_"'),
        (["--host", LABEL + "a.b"], "a label has at most 63 characters, found one of 64"),
        (["--host", ".".join([LABEL] * 4)], "a name has at most 253 characters, found 255"),
        (
            ["--host", LABEL + ".b", "--smart-licensing", "on"],
            "at most 64 characters when SMART_LICENSING is on, found 65",
        ),
        (["--host", "[::1"], "in brackets stands an IPv6 address"),
        (["--host", "p:80"], "the port is PROXY_PORT"),
        (["--port", "0"], 'PROXY_PORT "0": a port is a number from 1 to 65535'),
        (["--port", "65536"], 'PROXY_PORT "65536": a port is a number from 1 to 65535'),
        (
            ["--user", "a:b", "PROXY_PASSWORD="],
            "a user name has no colon, found one at character 2",
        ),
        (["--tls", "yes"], 'PROXY_TLS "yes": must be off or on'),
        (["--no-proxy", "10.0.0.0/33"], 'NO_PROXY "10.0.0.0/33": '),
        (["--host", ""], "PROXY_HOST is missing"),
        (["http://p"], "the URL has no port"),
        (["http://p:80/x"], "the URL of a proxy has no path"),
        (["http://p%4:80"], "PROXY_HOST"),
        (["http://a%4@p:80"], "two hexadecimal digits"),
        (["ftp://p:80"], "neither NAME=VALUE"),
        (["PROXY_HOTS=p"], "neither NAME=VALUE"),
    ],
)
def test_each_rule_has_its_message(conf, file, args, says):
    write(file, "PROXY_HOST p.example", "PROXY_PORT 80")
    before = file.read_bytes()
    done = upstream(conf, "set", *args)
    assert done.returncode == 2 and says in done.stderr, done.stderr
    assert "upstream.conf:" not in done.stderr  # no place in a file that was never written
    assert file.read_bytes() == before
    assert sorted(p.name for p in file.parent.iterdir()) == ["upstream.conf", "viaduct.conf"]


def test_a_file_of_certificates_is_where_the_command_was_given(conf, file, tmp_path):
    write(file, "PROXY_HOST p.example", "PROXY_PORT 80", "ENABLED off")
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    assert upstream(conf, "set", "--ca", "ca.pem", "--tls", "on", cwd=folder).returncode == 0
    assert json.loads(upstream(conf, "show", "--json").stdout)["ca"] == f"{folder}/ca.pem"


@pytest.mark.parametrize("host", ["::1", "[::1]"])
def test_brackets_or_not(conf, file, host):
    write(file, "PROXY_HOST p.example", "PROXY_PORT 80", "ENABLED off")
    assert upstream(conf, "set", "--host", host).returncode == 0
    assert json.loads(upstream(conf, "show", "--json").stdout)["host"] == "::1"
    assert upstream(conf, "set", "http://[::1]:81").returncode == 0
    shown = json.loads(upstream(conf, "show", "--json").stdout)
    assert (shown["host"], shown["port"], shown["tls"]) == ("::1", 81, False)


def test_what_does_not_work_is_not_saved(conf, file, world):
    write(file, "PROXY_HOST 127.0.0.1", f"PROXY_PORT {world.port}")
    before = file.read_bytes()
    with closed_port() as sock:
        port = str(sock.getsockname()[1])
        done = upstream(conf, "set", "--port", port, "--url", world.test_url)
        assert done.returncode == 1 and "proxy-refused in connect" in done.stderr
        assert "the old settings stand" in done.stderr and "--force" in done.stderr
        assert file.read_bytes() == before
        done = upstream(conf, "set", "--port", port, "--url", world.test_url, "--force")
    assert done.returncode == 0 and "proxy-refused in connect" in done.stderr
    assert f"PROXY_PORT {port};" in file.read_text()


def test_a_new_file_is_not_made_of_what_does_not_work(conf, file, world):
    with closed_port() as sock:
        url = f"http://127.0.0.1:{sock.getsockname()[1]}"
        done = upstream(conf, "set", url, "--url", world.test_url)
    assert done.returncode == 1 and "nothing is saved" in done.stderr and not file.exists()


def test_a_targets_own_error_is_no_fault_of_the_proxy(conf, file, world):
    args = [f"http://127.0.0.1:{world.port}", "--url", world.test_url + "missing"]
    assert upstream(conf, "set", *args).returncode == 0
    assert upstream(conf, "test", *args[1:]).returncode == 1


def test_enable_and_disable(conf, file, world):
    with closed_port() as sock:
        write(file, "PROXY_HOST 127.0.0.1", f"PROXY_PORT {sock.getsockname()[1]}")
        assert upstream(conf, "disable").returncode == 0
        assert "    ENABLED off;\n" in file.read_text()
        assert json.loads(upstream(conf, "show", "--json").stdout)["enabled"] is False
        done = upstream(conf, "enable", "--url", world.test_url)
        assert done.returncode == 1 and "    ENABLED off;\n" in file.read_text()
    assert upstream(conf, "set", "--port", str(world.port)).returncode == 0  # disabled: not tested
    assert upstream(conf, "enable", "--url", world.test_url).returncode == 0
    assert "    ENABLED on;\n" in file.read_text()


def test_test_shows_the_way(conf, file, world):
    write(file, "PROXY_HOST 127.0.0.1", f"PROXY_PORT {world.port}")
    done = upstream(conf, "test", "--url", world.test_url)
    assert done.returncode == 0 and "connect" in done.stdout and "ok in" in done.stdout
    done = upstream(conf, "test", "--url", world.test_url, "--json")
    flow = json.loads(done.stdout)
    assert flow["verdict"] == "ok" and flow["source"] == "check" and done.returncode == 0
    assert flow["proxy"] == f"127.0.0.1:{world.port}"
    done = upstream(conf, "test", "--url", "http://nowhere.invalid/", "--json")
    assert json.loads(done.stdout)["verdict"] == "upstream-unresolved" and done.returncode == 1
    assert upstream(conf, "test", "--url", "no url").returncode == 2


def test_import_takes_a_whole_file_or_nothing(conf, file, world, tmp_path):
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    other = folder / "new.conf"
    other.write_text(
        f"# theirs\niprep_proxy {{ PROXY_HOST 127.0.0.1; PROXY_PORT {world.port};\n"
        "PROXY_USER u; PROXY_PASSWORD s3cret; PROXY_CA ca.pem; }\n"
    )
    file.write_text("broken {")
    done = upstream(conf, "import", str(other), "--url", world.test_url)
    assert done.returncode == 0, done.stderr
    assert file.read_text() == other.read_text().replace(" ca.pem", f" {folder}/ca.pem")
    before = file.read_bytes()
    other.write_text("iprep_proxy { PROXY_HOST a_b;\n PROXY_PORT 0; }")
    done = upstream(conf, "import", str(other))
    assert done.returncode == 2 and f"{other}:1:26: PROXY_HOST" in done.stderr
    assert f"{other}:2:13: PROXY_PORT" in done.stderr
    other.write_text("# nothing\n")
    assert upstream(conf, "import", str(other)).returncode == 2
    assert upstream(conf, "import", str(folder / "gone")).returncode == 2
    assert file.read_bytes() == before


def test_an_import_can_get_its_password_beside_it(conf, file, world, tmp_path):
    other = tmp_path / "new.conf"
    write(other, "PROXY_HOST 127.0.0.1", f"PROXY_PORT {world.port}", "PROXY_USER u")
    args = ["import", str(other), "--password-stdin", "--url", world.test_url]
    assert upstream(conf, *args, stdin="s3cret\n").returncode == 0
    assert "    PROXY_PASSWORD s3cret;\n" in file.read_text()


def test_what_is_exported_can_be_imported(conf, file, world):
    address = ["PROXY_HOST 127.0.0.1", f"PROXY_PORT {world.port}"]
    write(file, *address, "PROXY_USER u", "PROXY_PASSWORD s3cret")
    text = upstream(conf, "export").stdout
    done = upstream(conf, "import", "-", "--url", world.test_url, stdin=text)
    assert done.returncode == 0 and "s3cret" not in file.read_text()
    assert "PROXY_USER u;" in file.read_text()


def test_a_broken_file_is_told_with_its_places(conf, file):
    file.write_text("iprep_proxy {\n PROXY_HOTS p;\n PROXY_PASSWORD s3crét; }")
    for verb in (["show"], ["set", "--port", "1"], ["disable"], ["export"]):
        done = upstream(conf, *verb)
        assert done.returncode == 2 and f"{file}:2:2: unknown setting" in done.stderr
        assert "s3cr" not in done.stderr


def test_a_change_of_somebody_else_is_not_lost(conf, file, world):
    """The file changes while the new proxy is being tested."""
    write(file, "PROXY_HOST p.example", "PROXY_PORT 80")

    def slow(connection):
        connection.until(b"\r\n\r\n")
        write(file, "PROXY_HOST theirs.example", "PROXY_PORT 80")
        connection.send(reply(b"reached"))

    with Target(slow) as proxy:
        url = f"http://127.0.0.1:{proxy.port}"
        done = upstream(conf, "set", url, "--url", "http://target.test/")
    assert done.returncode == 3 and "changed the file meanwhile" in done.stderr
    assert "theirs.example" in file.read_text()


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts need root")
@pytest.mark.parametrize(
    "ready, reason",
    [
        ("head -c 1m /dev/zero > $D/fill 2>/dev/null || :", "No space left on device"),
        ("mount -o remount,ro $D", "Read-only file system"),
    ],
)
def test_where_nothing_can_be_written_the_old_file_stands(tmp_path, ready, reason):
    """A small tmpfs in a mount namespace of its own."""
    folder = tmp_path / "d"
    folder.mkdir()
    script = f"""
        set -e
        mount --make-rprivate /
        mount -t tmpfs -o size=16k none $D
        printf 'user nobody;' > $D/viaduct.conf
        printf 'iprep_proxy {{ PROXY_HOST old; PROXY_PORT 80; }}' > $D/upstream.conf
        {ready}
        status=0
        "$V" upstream disable -c $D/viaduct.conf || status=$?
        cat $D/upstream.conf; echo; ls -A $D; echo $status
    """
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script],
        env={**os.environ, "D": str(folder), "V": BINARY},
        capture_output=True,
        text=True,
        timeout=60,
    )
    lines = done.stdout.split("\n")
    assert lines[0] == "iprep_proxy { PROXY_HOST old; PROXY_PORT 80; }", done.stderr
    assert set(lines[1:-2]) - {"fill"} == {"upstream.conf", "viaduct.conf"}
    assert lines[-2] == "3" and reason in done.stderr


class Terminal:
    """The command at a terminal of its own, asked field by field."""

    def __init__(self, conf, *args):
        self.text = ""
        pid, self.fd = pty.fork()
        if pid == 0:
            os.execv(BINARY, [BINARY, "upstream", *args, "-c", str(conf)])
        self.pid = pid

    def expect(self, words):
        while words not in self.text:
            ready, _, _ = select.select([self.fd], [], [], 30)
            assert ready, f"waited for {words!r}: {self.text}"
            try:
                piece = os.read(self.fd, 4096)
            except OSError:
                piece = b""
            assert piece, f"it ended before {words!r}: {self.text}"
            self.text += piece.decode()
        self.seen, self.text = self.text.split(words, 1)
        return self

    def say(self, line):
        os.write(self.fd, line.encode() + b"\n")
        return self

    def end(self):
        text = self.text
        while True:
            try:
                piece = os.read(self.fd, 4096)
            except OSError:
                break
            if not piece:
                break
            text += piece.decode()
        os.close(self.fd)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1]), text


def test_the_form_at_a_terminal(conf, file, world):
    t = Terminal(conf, "set", "--url", world.test_url)
    t.expect("Enabled, on or off [on]: ").say("")
    t.expect("Address or name of the proxy []: ").say("a_b")
    t.expect('found "_"').expect("Address or name of the proxy []: ").say("127.0.0.1")
    t.expect("Port []: ").say(str(world.port))
    t.expect("User name at the proxy []: ").say("fmc")
    t.expect("Password at the proxy: ").say("s3cret")
    t.expect("Once more: ").say("s3cret")
    t.expect("TLS to the proxy itself, on or off [off]: ").say("")
    assert "s3cret" not in t.seen
    t.expect("Targets without the proxy []: ").say(".a 10.0.0.0/8")
    t.expect("Smart licensing, on or off [off]: ").say("on")
    status, text = t.end()
    assert status == 0, text
    address = ["PROXY_HOST 127.0.0.1", f"PROXY_PORT {world.port}"]
    exceptions = "NO_PROXY .a 10.0.0.0/8"
    login = ["PROXY_USER fmc", "PROXY_PASSWORD s3cret"]
    assert file.read_text() == block(*address, *login, exceptions, "SMART_LICENSING on")
    t = Terminal(conf, "set", "--url", world.test_url)
    t.expect("[on]: ").say("").expect("[127.0.0.1]: ").say("").expect(f"[{world.port}]: ").say("")
    t.expect("[fmc]: ").say("-").expect("[off]: ").say("").expect("[.a 10.0.0.0/8]: ").say("")
    t.expect("[on]: ").say("-")
    status, text = t.end()
    assert status == 0, text
    assert file.read_text() == block(*address, exceptions)


def test_the_form_takes_on_before_there_is_a_host(conf, file, world):
    t = Terminal(conf, "set", "--url", world.test_url)
    t.expect("Enabled, on or off [on]: ").say("on")
    t.expect("Address or name of the proxy []: ").say("127.0.0.1")
    t.expect("Port []: ").say(str(world.port)).expect("User name at the proxy []: ").say("fmc")
    t.expect("Password at the proxy: ").say("s3cret").expect("Once more: ").say("s3cret")
    t.expect("[off]: ").say("")
    t.expect("Targets without the proxy []: ").say("").expect("Smart licensing, on or off [off]: ").say("")
    status, text = t.end()
    assert status == 0 and "missing" not in text, text
    assert "ENABLED on;" in file.read_text()


def test_a_form_that_is_left_changes_nothing(conf, file):
    write(file, "PROXY_HOST p.example", "PROXY_PORT 80")
    before = file.read_bytes()
    t = Terminal(conf, "set")
    t.expect("[on]: ").say("off").expect("[p.example]: ")
    os.write(t.fd, b"\x04")
    status, text = t.end()
    assert status == 2 and "nothing is changed" in text and file.read_bytes() == before


@pytest.mark.parametrize(
    "args, says",
    [
        ([], "say show, set, enable"),
        (["shw"], '"shw" is none of show, set, enable, disable, test, import and export (did you mean show?)'),
        (["set", "PROXY_HSOT=x"], '"PROXY_HSOT"=…: neither NAME=VALUE with a setting of upstream.conf nor http://HOST:PORT (did you mean PROXY_HOST?)'),
        (["set", "--pasword=s3cret!"], '"--pasword": no such option, or its value is missing\n'),
        (["set"], "say what shall change"),
        (["show", "x"], "show takes no argument"),
        (["import"], "import takes one FILE"),
        (["import", "-", "--password-stdin"], "cannot be both"),
        (["show", "--host", "x"], "show takes no --host"),
        (["disable", "--force"], "disable takes no --force"),
        (["export", "--json"], "export takes no --json"),
        (["set", "--hots", "x"], '"--hots": no such option, or its value is missing (did you mean --host?)'),
    ],
)
def test_usage(conf, args, says):
    done = upstream(conf, *args)
    assert done.returncode == 2 and says in done.stderr and "s3cret" not in done.stderr


def test_a_user_name_is_judged_before_its_password_is_asked_for(conf):
    done = upstream(conf, "set", "--user", "a:b")
    assert done.returncode == 2 and "no colon" in done.stderr and "password" not in done.stderr.lower()
