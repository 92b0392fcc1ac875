"""`viaduct check` on a terminal: the ladder is drawn as it happens, and what stays is the plain report."""

import re
import subprocess

import pytest

from check import ENVIRONMENT, check_raw
from target import HttpTarget, Target, reply
from terminal import Screen, run
from viaduct import BINARY

TERMINAL = {**ENVIRONMENT, "TERM": "xterm-256color"}
TERMINAL.pop("NO_COLOR", None)
VARIES = re.compile(r"[0-9a-f]{16}|[0-9.:TZ-]+|[# ]+\|")


def alike(text):
    """A report without what differs from run to run: times, identifiers, bars."""
    return re.sub(r"\s+", " ", VARIES.sub("", text)).strip()


@pytest.fixture(name="slow")
def a_target_with_a_pause():
    """Long enough for several drawings, each phase in another turn."""

    def script(connection):
        connection.head()
        connection.target.done.wait(0.3)
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabc")
        connection.target.done.wait(0.3)
        connection.send("def")
        connection.hold()

    with Target(script) as target:
        yield target


@pytest.mark.parametrize("columns", [30, 47, 80, 200])
def test_the_last_screen_is_the_plain_report(slow, columns):
    arguments = ["check", "-x", "direct", slow.url()]
    data, _, status = run([BINARY, *arguments], columns=columns, env=TERMINAL)
    plain = check_raw(*arguments[1:])
    assert status == plain.returncode == 0
    assert data.count(b"\x1b[J") > 2, "nothing was drawn before the end"
    lines = Screen(10000).feed(data).lines
    assert alike("\n".join(lines)) == alike(plain.stdout)
    # in the true width, too, no line of a drawing is left over
    wrapped = "".join(Screen(columns).feed(data).lines)
    assert wrapped.count("resolve") == plain.stdout.count("resolve")


def test_drawings_fit_a_narrow_window(slow):
    """A line that wraps would not be taken back whole."""
    data, _, _ = run([BINARY, "check", "-x", "direct", slow.url()], columns=30, env=TERMINAL)
    for drawing in data.split(b"\x1b[J")[:-1]:
        for line in re.sub(rb"\x1b\[[0-9;]*[A-Za-z]", b"", drawing).split(b"\r\n"):
            assert len(line.decode()) <= 30, line


def test_nothing_from_outside_reaches_the_terminal():
    evil = b"\x1b]0;owned\x07\x1b[2J\x9b31m\xe2\x80\xae"

    def script(connection):
        connection.send(b"SSH-2.0-" + evil + b"\r\n")
        connection.hold()

    with Target(script) as proxy:
        data, _, status = run([BINARY, "check", "-x", f"http://127.0.0.1:{proxy.port}", "https://a.test/"], env=TERMINAL)
    assert status == 1
    Screen(80).feed(data)  # fails at any control character that is not viaduct's own
    assert b"owned" in data and b"\x1b[2J" not in data


def test_no_colour_and_no_drawing_without_a_terminal(slow):
    """A pipe gets plain text, NO_COLOR no colour; a dumb terminal is a pipe."""
    url = slow.url()
    piped = subprocess.run([BINARY, "check", "-x", "direct", url], capture_output=True, env=TERMINAL, check=True)
    assert b"\x1b" not in piped.stdout and piped.stderr == b""
    coloured, _, _ = run([BINARY, "check", "-x", "direct", url], env=TERMINAL)
    assert re.search(rb"\x1b\[[0-9;]*m", coloured)
    for environment in ({**TERMINAL, "NO_COLOR": "1"}, {**TERMINAL, "TERM": "dumb"}):
        data, _, _ = run([BINARY, "check", "-x", "direct", url], env=environment)
        assert not re.search(rb"\x1b\[[0-9;]*m", data)
    assert b"\x1b" not in data  # of the dumb one


def test_json_on_a_terminal_is_a_line(slow):
    data, _, status = run([BINARY, "check", "--json", "-x", "direct", slow.url()], env=TERMINAL)
    assert status == 0 and b"\x1b" not in data and data.count(b"\n") == 1


def test_progress_of_many_urls():
    """On standard error, where that is a terminal; gone at the end."""
    with HttpTarget() as target:
        urls = [target.url(f"/{i}") for i in range(5)]
        data, _, status = run([BINARY, "check", "-x", "direct", *urls], env=TERMINAL)
        assert status == 0 and b"5 of 5 URLs done" in data
        screen = Screen(80).feed(data).lines
        assert not any("URLs done" in line for line in screen) and any("5 of 5 ok" in line for line in screen)
        _, err, _ = run([BINARY, "check", "-x", "direct", *urls], env=TERMINAL, both=False)
        assert err == b""


def test_the_table_of_many():
    with HttpTarget(lambda request: reply(b"", "404 No" if request.path == "/2" else "200 OK")) as target:
        urls = [target.url(f"/{i}") for i in range(4)]
        done = check_raw("-x", "direct", *urls)
    lines = done.stdout.splitlines()
    assert done.returncode == 1
    assert [line.split()[0] for line in lines[:4]] == ["ok", "ok", "target-error", "ok"]
    assert [line.split()[5 if line.split()[4].endswith("s") else 4] for line in lines[:4]] == urls
    assert lines[4].startswith("3 of 4 ok")


def test_what_did_not_end_is_not_counted_as_ok():
    """Nor as a failure."""
    with HttpTarget() as quick, Target(lambda connection: connection.hold()) as never:
        done = check_raw("-m", "1", "-x", "direct", quick.url(), never.url())
    assert done.returncode == 0 and done.stdout.splitlines()[-1].startswith("1 of 2 ok, 1 open, the longest took 1")
