"""`viaduct explain`, run for real, and whether what it says agrees with other sources."""

import json
import subprocess

from viaduct import BINARY, KEYS, SANITIZER, Flow


def explain_raw(*arguments, seconds=60, **more):
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
    pairs, left = [], list(flows)
    for other in sorted(others, key=lambda other: (other["client"] is None, other["start"])):
        if other["client"]:
            mine = [flow for flow in left if flow["client"] == other["client"]]
        else:
            mine = [flow for flow in left if same_end(flow, other) and flow["start"] >= other["start"][:16]]
        flow = mine[0] if mine else None
        if flow:
            left.remove(flow)
        pairs.append((flow, other))
    return pairs


def agree(flows, others, coarser=None):
    """Asserts that explain's `flows` say of each of the `others` (of check, or of the proxy's log) what they say:
    the same verdict, or one of coarser[verdict], then inferred."""
    wrong = []
    for flow, other in pair(flows, others):
        if flow is None:
            wrong.append(f"not explained: {tell(other)}")
            continue
        allowed = (coarser or {}).get(other["verdict"], ())
        same = flow["verdict"] == other["verdict"]
        if not same and not (flow["verdict"] in allowed and flow["certainty"] == "inferred"):
            wrong.append(f"{tell(flow)}\n   but {tell(other)}")
    assert others, "nothing to compare with"
    assert not wrong, "\n".join(wrong)
