"""The packet scripts (*.pkt) as `viaduct explain` tells them, against golden ladders (*.txt), and mangled.

A script says beside its packets what is to be made of it:

    # verdict: VERDICT…             of each flow, in order; "stalled(inferred)" where it is not seen
    # mangled: NAME=VERDICT,… …     the same of the mangled script, where it is another; "-" without a flow
    # healthy[: VERDICT…]           nothing failed, and no mangling may make it seem so (but for these verdicts)
    # warning: NAME…                warnings that some flow must have
    # by: SIDE…                     who ended each flow
    # options: …                    of explain

    VIADUCT=build/src/cli/viaduct python3 test_goldens.py --rewrite [NAME…]

writes the goldens and the `# mangled:` lines anew, for people to look at the difference.  It never touches what is
said of the script as it stands, nor makes an exception for a healthy one.
"""
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / 'lib')]

import pkt  # noqa: E402

BINARY = os.environ.get('VIADUCT', str(HERE.parents[1] / 'build/src/cli/viaduct'))
SCRIPTS = sorted(p.stem for p in HERE.glob('*.pkt'))
FINE = {'ok', 'open', 'target-error'}
WIDTH = 118  # of a `# mangled:` line


class Script:
    """What a script says of itself."""

    def __init__(self, name):
        self.name, self.path = name, HERE / f'{name}.pkt'
        self.text = self.path.read_text()
        self.verdicts = self.words('verdict')
        self.options = self.words('options')
        self.warnings = self.words('warning')
        self.by = self.words('by')
        self.healthy = re.search(r'^# healthy', self.text, re.M) is not None
        self.exceptions = set(self.words('healthy'))
        self.mangled = dict(word.split('=', 1) for word in self.words('mangled'))

    def words(self, key):
        return ' '.join(re.findall(rf'^# {key}:(.*)$', self.text, re.M)).split()


def explain(script, pcap, *arguments):
    """`viaduct explain`'s output; it never fails of itself."""
    env = {'PATH': '/usr/bin:/bin', 'LC_ALL': 'C.UTF-8', 'TZ': 'UTC', 'NO_COLOR': '1'}
    env.update({k: v for k, v in os.environ.items() if k.endswith('SAN_OPTIONS')})
    done = subprocess.run([BINARY, 'explain', *script.options, *arguments, pcap.name], cwd=pcap.parent, env=env,
                          capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode in (0, 1), (done.returncode, done.stderr)
    assert 'Sanitizer' not in done.stderr and 'runtime error' not in done.stderr, done.stderr
    return done.stdout


def flows_of(script, pcap):
    flows = [json.loads(line) for line in explain(script, pcap, '--json').splitlines()]
    return sorted(flows, key=lambda flow: int(flow['id'], 16))


def tell(flow):
    return flow['verdict'] + ('(inferred)' if flow['certainty'] == 'inferred' else '')


def build(script, folder, mangling=None):
    pcap = pathlib.Path(folder) / f'{script.name}.pcap'
    pkt.build(script.path, pcap, mangling)
    return pcap


def golden_of(script, pcap, flows):
    """Each flow's ladder."""
    return '\n----\n\n'.join(explain(script, pcap, '--flow', str(int(flow['id'], 16))) for flow in flows)


@pytest.mark.parametrize('name', SCRIPTS)
def test_golden(name, tmp_path):
    script = Script(name)
    pcap = build(script, tmp_path)
    flows = flows_of(script, pcap)
    assert [tell(flow) for flow in flows] == script.verdicts
    if script.by:
        assert [flow['ended_by'] for flow in flows] == script.by
    assert set(script.warnings) <= {w.split(':')[0] for flow in flows for w in flow['warnings']}
    assert golden_of(script, pcap, flows) == (HERE / f'{name}.txt').read_text()


def mangled_verdicts(script, folder, mangling):
    return [tell(flow) for flow in flows_of(script, build(script, folder, mangling))]


@pytest.mark.parametrize('name', SCRIPTS)
def test_mangled(name, tmp_path):
    script = Script(name)
    for mangling in pkt.MANGLINGS:
        got = mangled_verdicts(script, tmp_path, mangling)
        want = script.mangled.get(mangling)
        assert got == (script.verdicts if want is None else [] if want == '-' else want.split(',')), mangling
        if script.healthy:
            bad = {v.split('(')[0] for v in got} - FINE - script.exceptions
            assert not bad, (mangling, got)


# What a text from a ticket is, and what has to be said of it.
TICKETS = {
    'normal': ('ok', 'statuses and redirects are not seen'),
    'denied': ('acl-denied(inferred)', '403 Forbidden'),
    'stops': ('stalled(inferred)', 'capture-incomplete: the text ends here', 'offload', 'tcpdump -i any -s 0 -w'),
    'reset': ('reset-by-proxy', 'says nothing about an MTU', 'viaduct check --mtu -x http://proxy:80 https://dl.example.com:443/'),
    'blackhole': ('mtu-blackhole(inferred)', '1460 bytes of the client, never acknowledged, sent 5 times', '362 bytes behind it'),
    'no-answer': ('proxy-silent', 'never acknowledged, sent 4 times', 'no question of size'),
}


@pytest.mark.parametrize('name', TICKETS)
def test_ticket(name):
    verdict, *sentences = TICKETS[name]
    text = HERE / 'tickets' / f'{name}.txt'
    script = Script(SCRIPTS[0])
    script.options = []
    (flow,) = flows_of(script, text)
    assert tell(flow) == verdict
    said = explain(script, text, '--flow', '1')
    for sentence in sentences:
        assert sentence in said


def test_every_golden_has_a_script():
    assert {p.stem for p in HERE.glob('*.txt')} == set(SCRIPTS)


def test_grammar_is_checked():
    for bad in ('0 C>P nonsense', '0 X>P len 1', '0 C>P len x', 'no setting', '0 R>C icmp host about C>P'):
        with pytest.raises(pkt.Broken, match='line 1'):
            pkt.compile_text(bad)


def rewrite_mangled(script, folder):
    items = []
    for mangling in pkt.MANGLINGS:
        got = mangled_verdicts(script, folder, mangling)
        if got != script.verdicts:
            items.append(f'{mangling}={",".join(got) or "-"}')
    text = re.sub(r'^# mangled:.*\n', '', script.text, flags=re.M)
    lines, line = [], '# mangled:'
    for item in items:
        if len(line) + 1 + len(item) > WIDTH and line != '# mangled:':
            lines.append(line)
            line = '# mangled:'
        line += ' ' + item
    if items:
        lines.append(line)
    at = re.search(r'^# verdict:.*\n', text, re.M).end()
    script.path.write_text(text[:at] + ''.join(each + '\n' for each in lines) + text[at:])


def rewrite(names):
    for name in names or SCRIPTS:
        script = Script(name)
        with tempfile.TemporaryDirectory() as folder:
            pcap = build(script, folder)
            (HERE / f'{name}.txt').write_text(golden_of(script, pcap, flows_of(script, pcap)))
            rewrite_mangled(script, folder)


if __name__ == '__main__':
    if sys.argv[1:2] != ['--rewrite']:
        sys.exit('test_goldens.py --rewrite [NAME...]; the tests are run by pytest')
    rewrite(sys.argv[2:])
