"""`viaduct explain`, run for real, and whether what it says agrees with other sources."""

import json
import subprocess

from viaduct import BINARY, KEYS, SANITIZER, Flow

# Where explain may say something else than another source of the same flow.  viaduct-verdicts(7) has the reasons, under
# "From what" of each verdict.  First what explain cannot see; it has to call it inferred then:
HIDDEN = {
    # told by a second probe; who should receive sees nothing of what is lost, and nobody does beyond the proxy; and one
    # session ticket that comes through looks like a reply
    ("check", "mtu-blackhole"): {"stalled", "proxy-silent", "reset-by-client"},
    # what TLS hides: the promise that was not kept, and why a client does not like a certificate
    ("check", "incomplete"): {"ok"},
    ("check", "size-limit"): {"ok"},
    ("check", "stalled"): {"ok", "reset-by-client"},
    ("check", "tls-untrusted"): {"reset-by-client", "tls-failed"},
    ("check", "tls-intercepted"): {"ok"},
    # the proxy's other leg, where only one is in the capture
    ("serve", "mtu-blackhole"): {"stalled", "proxy-silent", "reset-by-client"},
    ("serve", "reset-by-target"): {"reset-by-proxy"},
    ("serve", "stalled"): {"reset-by-proxy", "reset-by-client"},
}
# What is hidden and nothing to doubt: a tunnel that was closed properly, whatever status was in it.
INSIDE = {("check", "target-error"): {"ok"}}
# Where explain sees more than the other source:
FINER = {
    # the proxy's own leg, which says what its answer does not, or less of
    ("check", "upstream-failed"): {"upstream-refused", "upstream-unreachable", "upstream-timeout"},
    # who resets or leaves after a long silence has a reason
    ("serve", "reset-by-client"): {"stalled", "mtu-blackhole"},
    ("serve", "client-gone"): {"proxy-silent"},
    # two cuts at one place, of which the other source saw one only; or both, which lie just as far apart as two cuts at
    # one place may, or a little more: check counts bytes of the body, explain those of TLS
    ("check", "size-limit"): {"incomplete", "reset-by-proxy", "reset-by-target"},
    ("serve", "incomplete"): {"size-limit"},
    ("serve", "reset-by-target"): {"size-limit"},
    ("check", "incomplete"): {"size-limit"},
    ("check", "reset-by-proxy"): {"size-limit"},
    ("check", "reset-by-target"): {"size-limit"},
}


def explain_raw(*arguments, seconds=120, **more):
    """Runs `viaduct explain`; the finished process."""
    done = subprocess.run(
        [BINARY, "explain", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=seconds,
        stdin=more.pop("stdin", subprocess.DEVNULL),
        check=False,
        **more,
    )
    assert not SANITIZER.search(done.stderr), done.stderr
    return done


def explain(*arguments, **more):
    """The flows of `viaduct explain --json`, in order; its exit status must agree with them."""
    done = explain_raw("--json", *arguments, **more)
    assert done.returncode in (0, 1), done.stderr
    flows = [Flow(json.loads(line)) for line in done.stdout.splitlines()]
    for flow in flows:
        assert set(flow) == KEYS, set(flow) ^ KEYS
        assert flow["source"] == "explain" and flow["cause"]
    bad = [flow for flow in flows if flow["verdict"] not in ("ok", "open") and not flow["superseded_by"]]
    assert (done.returncode == 1) == bool(bad), (done.returncode, flows)
    return flows


def tell(flow):
    """A flow in a few lines, for messages."""
    head = (
        f"{flow['source']}: {flow['verdict']} in {flow['ended_in']} by {flow['ended_by']} ({flow['certainty']}), "
        f"{flow['client']} to {flow['target']}, status {flow['status']}"
    )
    return "\n      ".join([head, *(line[:160] for line in flow["evidence"])])


def same_end(flow, other):
    """Whether both went to the same proxy, or past any to the same target."""
    if flow["proxy"] or other["proxy"]:
        return flow["proxy"] == other["proxy"]
    return flow["target_address"] == other["target"]


def pair(flows, others):
    """Each of `others` with the flow that is the same one: (flow, other), flow None where there is none.  By the
    client's port, in order; of a connection that never was its source does not know the port: then by time."""
    pairs, left = [], sorted(flows, key=lambda flow: flow["start"])
    for other in sorted(others, key=lambda other: (other["client"] is None, other["start"])):
        if other["client"]:
            mine = [flow for flow in left if flow["client"] == other["client"]]
        else:
            mine = [flow for flow in left if same_end(flow, other) and flow["start"] >= other["start"]]
        flow = mine[0] if mine else None
        if flow:
            left.remove(flow)
        pairs.append((flow, other))
    return pairs


def agrees(flow, other, also=()):
    key = other["source"], other["verdict"]
    same = {other["verdict"], *also} | FINER.get(key, set()) | INSIDE.get(key, set())
    if flow["verdict"] in same:
        return True
    if key == ("serve", "ok") and flow["verdict"] == "reset-by-client":
        # the proxy had handed all of it to its kernel, and was done, when the client left
        return any("not delivered to it" in line for line in flow["evidence"])
    return flow["verdict"] in HIDDEN.get(key, ()) and flow["certainty"] == "inferred"


def agree(flows, others, also=()):
    """Asserts that explain's `flows` say of each of the `others` (of check, or of the proxy's log) what they say, as
    far as that can be seen; `also`: or these verdicts."""
    assert others or not flows, f"nothing to compare with: {list(map(tell, flows))}"
    wrong = []
    for flow, other in pair(flows, others):
        if flow is None:
            wrong.append(f"not explained: {tell(other)}")
        elif not agrees(flow, other, also):
            wrong.append(f"{tell(flow)}\n   but {tell(other)}")
    assert not wrong, "\n".join(wrong)
