"""viaduct account: the file that it writes, and what it leaves alone."""

import hashlib
import os
import pty
import select
import stat
import subprocess

import pytest

from viaduct import ALONE, BINARY


@pytest.fixture
def conf(tmp_path):
    path = tmp_path / "viaduct.conf"
    path.write_text("user nobody;\nauthentication { accounts acc.conf; realm here; }\n")
    return path


def account(conf, *args, password=None):
    return subprocess.run(
        [BINARY, "account", *args, "-c", str(conf)],
        input=password,
        capture_output=True,
        text=True,
        timeout=30,
        env=ALONE,
    )


def ha1(function, name, password, realm="here"):
    return hashlib.new(function, f"{name}:{realm}:{password}".encode()).hexdigest()


def test_add_writes_digests_and_no_password(conf):
    done = account(conf, "add", "alice", password="open sesame\nnot this\n")
    assert done.returncode == 0, done.stderr
    path = conf.parent / "acc.conf"
    text = path.read_text()
    for function in ("sha256", "md5", "sha512_256"):
        assert ha1(function, "alice", "open sesame") in text
    assert "sesame" not in text + done.stdout + done.stderr
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    if os.geteuid() == 0:
        assert path.stat().st_uid == 65534
    assert sorted(p.name for p in conf.parent.iterdir()) == ["acc.conf", "viaduct.conf"]
    shown = account(conf, "list")
    assert shown.stdout.split() == "alice realm here: sha-256 sha-512-256 md5".split()


def test_edits_keep_comments_order_and_owner(conf):
    path = conf.parent / "acc.conf"
    zeros = "0" * 32
    path.write_text(
        f"# first\nuser a {{ realm here; md5 {zeros}; disabled; }} # of a\n\n"
        f"# before b\nuser b {{ realm here; md5 {zeros}; }}\n# last"
    )
    if os.geteuid() == 0:
        os.chown(path, 1234, 1235)
    assert account(conf, "passwd", "a", password="new\n").returncode == 0
    assert account(conf, "add", "c d", password="x\n").returncode == 0
    assert account(conf, "remove", "b").returncode == 0
    text = path.read_text()
    assert text.startswith("# first\nuser a {\n") and "disabled;" in text and zeros not in text
    assert "# of a\n\n# before b\n# last\nuser \"c d\" {\n" in text
    if os.geteuid() == 0:
        assert (path.stat().st_uid, path.stat().st_gid) == (1234, 1235)


@pytest.mark.parametrize(
    "args, password, says",
    [
        (["add", "a:b"], "x\n", "a name has no colon"),
        (["add", "a"], "", "no password: the input ended"),
        (["add", "a"], "\n", "the password is empty"),
        (["add", "here"], "x\n", "there is such an account already"),
        (["passwd", "her"], "x\n", 'no account "her" (did you mean "here"?)'),
        (["remove", "x"], None, 'no account "x"'),
        (["import", "/nowhere/file"], None, "cannot open /nowhere/file"),
        (["add"], None, "add takes one NAME"),
        (["forget", "x"], None, '"forget" is none of'),
    ],
)
def test_what_cannot_be_done_is_told(conf, args, password, says):
    path = conf.parent / "acc.conf"
    path.write_text("user here { realm here; md5 " + "0" * 32 + "; }\n")
    before = path.read_bytes()
    done = account(conf, *args, password=password)
    assert done.returncode == 2 and says in done.stderr
    assert path.read_bytes() == before


def test_errors_of_the_file_have_places_and_show_no_digest(conf):
    path = conf.parent / "acc.conf"
    path.write_text("user a { realm r; md5 deadbeef; }\nuser a { relm x; }\n")
    done = account(conf, "list")
    assert done.returncode == 2
    assert f"{path}:1:23: md5: 32 hexadecimal digits are needed" in done.stderr
    assert f'{path}:2:6: user "a" stands twice, first on line 1' in done.stderr
    assert f'{path}:2:10: unknown setting "relm" (did you mean "realm"?)' in done.stderr
    assert "deadbeef" not in done.stderr


HA1 = "deadbeef" * 4


@pytest.mark.parametrize(
    "line,says",
    [
        (f"user a {{ realm r; md5 {HA1} }}", "1:23: a ; is missing at the end of md5"),
        (f"user a {{ realm r; md5; {HA1}; }}", '1:24: unknown setting "…"'),
        (f"user a {{ realm r; md5={HA1}; }}", '1:19: unknown setting "…"'),
        (f'user "a"b" {{ realm r; md5 {HA1}; }}', "1:10: the quote is not closed on its line"),
        (f'user a {{ realm "r; md5 {HA1}; }}', "1:16: a ; is missing at the end of realm"),
        (f"user a:r:{HA1} {{ realm r; }}", '1:6: "a": a name has no colon'),
        (f"a:r:{HA1}", '1:1: unknown setting "a:…"'),
    ],
)
def test_what_is_in_a_wrong_place_may_be_a_digest_and_is_not_shown(conf, line, says):
    path = conf.parent / "acc.conf"
    path.write_text(line + "\n")
    done = account(conf, "list")
    assert done.returncode == 2 and f"{path}:{says}" in done.stderr, done.stderr
    assert "deadbeef" not in done.stderr


def test_the_list_stands_in_columns(conf):
    """Counted as a terminal shows them: accents and CJK are more bytes than places."""
    for name in ("anna", "zoë", "山田"):
        assert account(conf, "add", name, password="secret").returncode == 0
    shown = [line.split(" realm ")[0] for line in account(conf, "list").stdout.splitlines()]
    assert sorted(shown) == sorted(["anna" + 16 * " ", "zoë" + 17 * " ", "山田" + 16 * " "])


def test_import(conf, tmp_path):
    digests = tmp_path / "htdigest"
    digests.write_text(f"a:here:{ha1('md5', 'a', 'x')}\r\nb:there:{ha1('md5', 'b', 'x')}\n")
    hashes = tmp_path / "htpasswd"
    hashes.write_text("# old\nc:{SHA}VBPuJHI7uixaa6LQGWx4s+5GKNE=\n")
    done = account(conf, "import", str(digests))
    assert done.returncode == 0 and 'accounts with another realm than the proxy\'s, "here": 1;' in done.stderr
    done = account(conf, "import", str(hashes))
    assert done.returncode == 0 and "Basic only" in done.stderr
    assert account(conf, "list").stdout.split("\n")[1].split() == "b realm there: md5".split()
    before = (conf.parent / "acc.conf").read_bytes()
    hashes.write_text("d:$1$abcdefgh$x\nc:{SHA}VBPuJHI7uixaa6LQGWx4s+5GKNE=\ne:plain\n")
    done = account(conf, "import", str(hashes))
    assert done.returncode == 2
    assert f'{hashes}:2: "c": there is such an account already' in done.stderr
    assert f"{hashes}:3: neither a line of htdigest" in done.stderr and "plain" not in done.stderr
    assert (conf.parent / "acc.conf").read_bytes() == before


def test_import_tells_who_will_not_be_able_to_log_in(conf, tmp_path):
    """Clients answer the strongest challenge: an account with MD5 alone cannot, where it is not the first."""
    digests = tmp_path / "htdigest"
    digests.write_text(f"a:here:{ha1('md5', 'a', 'x')}\nb:here:{ha1('sha256', 'b', 'x')}\n")
    done = account(conf, "import", str(digests))
    assert done.returncode == 0 and done.stdout == "taken over with a digest: 2, with a password hash: 0\n"
    assert "accounts with a digest for MD5 only: 1;" in done.stderr and "put md5 first" in done.stderr
    assert account(conf, "remove", "a").returncode == 0 and account(conf, "remove", "b").returncode == 0
    conf.write_text(conf.read_text().replace("authentication {", "authentication { algorithms md5 sha-256;"))
    done = account(conf, "import", str(digests))
    assert done.returncode == 0 and done.stderr == ""


def test_edits_at_once_lose_nothing(conf):
    running = [
        subprocess.Popen(
            [BINARY, "account", "add", f"u{n}", "-c", str(conf)], stdin=subprocess.PIPE, text=True
        )
        for n in range(12)
    ]
    for one in running:
        one.communicate("x\n", timeout=30)
    assert [one.returncode for one in running] == [0] * 12
    assert len(account(conf, "list").stdout.splitlines()) == 12


def test_a_full_disk_leaves_the_old_file(conf):
    path = conf.parent / "acc.conf"
    assert account(conf, "add", "a", password="x\n").returncode == 0
    before = path.read_bytes()
    done = subprocess.run(
        ["sh", "-c", 'ulimit -f 0; trap "" XFSZ; exec "$@" 2>&1 | cat', "sh", BINARY, "account", "add", "b", "-c", str(conf)],
        input="x\n", capture_output=True, text=True, timeout=30,
    )
    assert "it stands as it was" in done.stdout
    assert path.read_bytes() == before
    assert sorted(p.name for p in conf.parent.iterdir()) == ["acc.conf", "viaduct.conf"]


def read_until(fd, what):
    seen = b""
    while what not in seen:
        assert select.select([fd], [], [], 20)[0], seen
        seen += os.read(fd, 4096)
    return seen


def test_a_terminal_is_asked_twice_without_echo(conf):
    pid, fd = pty.fork()
    if pid == 0:
        os.execv(BINARY, [BINARY, "account", "add", "t", "-c", str(conf)])
    seen = read_until(fd, b"Password: ")
    os.write(fd, b"secret\n")
    seen += read_until(fd, b"Once more: ")
    os.write(fd, b"secret\n")
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    os.close(fd)
    assert b"secret" not in seen
    assert ha1("sha256", "t", "secret") in (conf.parent / "acc.conf").read_text()
