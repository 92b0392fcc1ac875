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
    """A flow in a line, for messages."""
    return (
        f"{flow['source']}: {flow['verdict']} in {flow['ended_in']} by {flow['ended_by']} ({flow['certainty']}), "
        f"{flow['client']} -> {flow['proxy']} -> {flow['target']}, status {flow['status']}, "
        f"{flow['evidence']} {flow['warnings']}"
    )


def pair(flows, others):
    """Each of `others` with the flow of the same client's port that is the same one in order: (flow, other)."""
    pairs, used = [], {}
    for other in others:
        mine = [flow for flow in flows if flow["client"] == other["client"]]
        n = used.setdefault(other["client"], 0)
        used[other["client"]] += 1
        pairs.append((mine[n] if n < len(mine) else None, other))
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
