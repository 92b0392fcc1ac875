"""`viaduct check`, run for real: its flows as objects."""

import json
import os
import subprocess

from viaduct import BINARY, KEYS, SANITIZER, Flow

# A user's own settings are no part of a test.
ENVIRONMENT = {
    key: value
    for key, value in os.environ.items()
    if key.lower() not in ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "ssl_cert_file", "ssl_cert_dir")
}


def check_raw(*arguments, wrap=(), seconds=60, environment=None, **more):
    """Runs `viaduct check`; `wrap` is a command in front (to run in a namespace).  The finished process."""
    done = subprocess.run(
        [*wrap, BINARY, "check", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=seconds,
        env={**ENVIRONMENT, **(environment or {})},
        stdin=more.pop("stdin", subprocess.DEVNULL),
        **more,
    )
    found = SANITIZER.search(done.stderr)
    assert not found, done.stderr
    assert done.returncode in (0, 1, 2, 3), done
    return done


def check_all(*arguments, **more):
    """The flows of `viaduct check --json`, in order; its exit status must agree with them."""
    done = check_raw("--json", *arguments, **more)
    assert done.returncode in (0, 1), done.stderr
    flows = [Flow(json.loads(line)) for line in done.stdout.splitlines()]
    for flow in flows:
        assert set(flow) == KEYS, set(flow) ^ KEYS
        assert flow["source"] == "check"
        # what a flow takes, it takes in a phase
        assert 0 <= flow["duration_us"] - sum(phase["duration_us"] for phase in flow["phases"]) < 5000, flow
    fine = all(flow["verdict"] in ("ok", "open") for flow in flows)
    assert (done.returncode == 0) == fine, (done.returncode, flows)
    return flows


def check(*arguments, **more):
    """The one flow of `viaduct check --json`."""
    flows = check_all(*arguments, **more)
    assert len(flows) == 1, flows
    return flows[0]
