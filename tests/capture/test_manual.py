"""The worked examples of viaduct-explain(1) are true: each line that is quoted stands in the real output.

In the page a comment names the packet script of the example that follows:

    .\\" capture: denied
    .Bd -literal -offset indent
    $ viaduct explain denied.pcap
    a line of the output, without its indent; one that ends with ` ...` is the beginning of one
    .Ed

    VIADUCT=build/src/cli/viaduct python3 test_manual.py --rewrite

puts the nearest line of the output in the place of each that is no longer there, for people to look at the difference.
"""
import difflib
import os
import pathlib
import re
import subprocess
import sys
import tempfile

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE)]

import pkt  # noqa: E402

BINARY = os.environ.get('VIADUCT', str(HERE.parents[1] / 'build/src/cli/viaduct'))
PAGE = HERE.parents[1] / 'doc/viaduct-explain.1'
EXAMPLE = re.compile(r'^\.\\" capture: (\S+)\n\.Bd -literal -offset indent\n\$ viaduct explain (\S+)\n(.*?)^\.Ed$', re.M | re.S)
WIDTH = 100  # longer lines are cut
# What is no failure of the network, or has no packet script to show it; all other verdicts have an example.
WITHOUT = {
    'ok', 'open', 'bad-request', 'draining', 'loop', 'not-found', 'overloaded', 'parent-auth-failed', 'proxy-error',
    'proxy-tls-failed', 'request-timeout', 'reset-by-client', 'upstream-failed', 'upstream-unreachable',
}  # fmt: skip


def examples():
    return EXAMPLE.findall(PAGE.read_text())


def plain(line):
    return line.removeprefix('\\&').replace('\\e', '\\')


def output_of(name, folder):
    pcap = pathlib.Path(folder) / f'{name}.pcap'
    pkt.build(HERE / f'{name}.pkt', pcap)
    env = {'PATH': '/usr/bin:/bin', 'LC_ALL': 'C.UTF-8', 'TZ': 'UTC', 'NO_COLOR': '1'}
    done = subprocess.run([BINARY, 'explain', pcap.name], cwd=folder, env=env, capture_output=True, text=True,
                          timeout=60, check=False)
    assert done.returncode in (0, 1), done.stderr
    return [line.strip() for line in done.stdout.splitlines()]


def is_there(quoted, lines):
    if quoted.endswith(' ...'):
        return any(line.startswith(quoted[:-4]) for line in lines)
    return quoted in lines


@pytest.mark.parametrize('name, pcap, block', examples(), ids=[e[0] for e in examples()])
def test_example(name, pcap, block, tmp_path):
    assert pcap == f'{name}.pcap'
    lines = output_of(name, tmp_path)
    missing = [line for line in block.splitlines() if not is_there(plain(line), lines)]
    assert not missing, '\n'.join(missing + ['is not in'] + lines)
    assert block.strip()


def test_each_failure_has_one():
    said = ' '.join(block for _, _, block in examples())
    text = (HERE.parents[1] / 'src/flow/verdict.def').read_text()
    rows = re.findall(r'^V\(\w+, "([a-z-]+)", \w+, \d+, [^,]+, ([A-Z |]+),', text, re.M)
    assert len(rows) > 30
    wanted = {name for name, sources in rows if 'EXPLAIN' in sources} - WITHOUT
    missing = {name for name in wanted if not re.search(rf'(^|\s){name} in ', said)}
    assert not missing


def nearest(line, lines):
    found = difflib.get_close_matches(line.removesuffix(' ...'), [x for x in lines if x], n=1, cutoff=0)[0]
    if len(found) > WIDTH + 4:
        found = found[:found.rindex(' ', 0, WIDTH)] + ' ...'
    return ('\\&' if found[0] in "'." else '') + found.replace('\\', '\\e')


def rewrite():
    def block(match):
        with tempfile.TemporaryDirectory() as folder:
            lines = output_of(match[1], folder)
        old = match[3].splitlines()
        new = [line if is_there(plain(line), lines) else nearest(plain(line), lines) for line in old]
        return match[0].replace(match[3], '\n'.join(new) + '\n')

    PAGE.write_text(EXAMPLE.sub(block, PAGE.read_text()))


if __name__ == '__main__':
    if sys.argv[1:] != ['--rewrite']:
        sys.exit(__doc__)
    rewrite()
