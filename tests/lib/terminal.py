"""A terminal of a few lines and columns: runs a program on it, and keeps the screen as a person would see it."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios

CONTROL = re.compile(rb"\x1b\[([0-9;]*)([A-Za-z])")


class Screen:
    """Understands what viaduct writes and nothing more: another control character fails the test."""

    def __init__(self, columns):
        self.columns, self.lines, self.row, self.column = columns, [""], 0, 0

    def put(self, char):
        if self.column == self.columns:  # it wraps
            self.down()
            self.column = 0
        line = self.lines[self.row].ljust(self.column)
        self.lines[self.row] = line[: self.column] + char + line[self.column + 1 :]
        self.column += 1

    def down(self):
        self.row += 1
        if self.row == len(self.lines):
            self.lines.append("")

    def control(self, number, letter):
        if letter == "A":
            self.row = max(0, self.row - int(number or 1))
        elif letter == "J":
            assert number in ("", "0"), number
            del self.lines[self.row + 1 :]
            self.lines[self.row] = self.lines[self.row][: self.column]
        elif letter == "K":
            assert number in ("", "0"), number
            self.lines[self.row] = self.lines[self.row][: self.column]
        else:
            assert letter == "m", (number, letter)

    def feed(self, data):
        at = 0
        while at < len(data):
            found = CONTROL.match(data, at)
            if found:
                self.control(found[1].decode(), found[2].decode())
                at = found.end()
                continue
            end = at + 1
            while end < len(data) and data[end] & 0xC0 == 0x80:
                end += 1
            char = data[at:end].decode()
            at = end
            if char == "\r":
                self.column = 0
            elif char == "\n":
                self.down()
            else:
                assert char.isprintable(), (char, data[max(0, at - 40) : at + 40])
                self.put(char)
        return self


def run(arguments, columns=80, rows=24, env=None, both=True, seconds=60):
    """Runs `arguments` with standard output (and error, `both`) on a terminal.  What it wrote there, what it
    wrote to standard error otherwise, and its exit status."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    child = subprocess.Popen(
        arguments, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs if both else subprocess.PIPE, env=env
    )
    os.close(theirs)
    data = b""
    while True:
        try:
            some = os.read(ours, 65536)
        except OSError:  # the last one who had it open is gone
            break
        data += some
    os.close(ours)
    _, err = child.communicate(timeout=seconds)
    return data, err or b"", child.returncode
