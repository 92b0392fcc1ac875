"""Real programs as clients of a proxy, with targets of their own, in a namespace that has nothing but loopback."""

import json
import os
import subprocess

from target import HttpTarget
from viaduct import open_folder


class World:
    """A namespace with a proxy and with targets made in it."""

    def __init__(self, ns, proxy, certs):
        self.ns, self.proxy, self.certs = ns, proxy, certs
        self.folder = open_folder("viaduct-clients-")
        self.targets = []

    def target(self, answer, tls=False, kind=HttpTarget):
        with self.ns.entered():
            target = kind(answer, tls=self.certs.target() if tls else None)
        self.targets.append(target)
        return target

    def url(self, target, path="/"):
        return target.url(path, host="target.test")

    def environment(self, env=None):
        """What this machine's own files and variables say of proxies is no part of the tests."""
        clean = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
        nothing = self.folder / "nothing"
        nothing.touch()
        own = {"HOME": self.folder, "SYSTEM_WGETRC": nothing, "GIT_CONFIG_SYSTEM": nothing, "LC_ALL": "C.UTF-8"}
        clean.update({**{name: str(value) for name, value in own.items()}, **(env or {})})
        return clean

    def run(self, *command, env=None, seconds=60, check=True, cwd=None):
        done = subprocess.run(
            [*self.ns.command, *map(str, command)],
            capture_output=True,
            text=True,
            env=self.environment(env),
            timeout=seconds,
            check=False,
            cwd=cwd or self.folder,
        )
        if check:
            assert (
                done.returncode == 0
            ), f"{command}: {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
        return done

    def flows(self):
        """The flows of this test to its targets, as far as they have ended."""
        taken = self.proxy.taken
        self.proxy.settle()
        flows = map(json.loads, self.proxy.log_lines()[taken:])
        return [flow for flow in flows if (flow["target"] or "").startswith("target.test")]

    def ended(self, *allowed):
        """Asserts that the flows of this test to its targets, as far as they go, ended in one of these ways."""
        mine = self.flows()
        others = [flow for flow in mine if flow["verdict"] not in allowed]
        assert mine and not others, json.dumps(others)

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        for target in self.targets:
            target.close()
        subprocess.run(["rm", "-rf", str(self.folder)], check=True)
        for target in self.targets:
            assert not target.failures, target.failures


def git(world, *arguments, cwd=None, **more):
    who = [
        "-c",
        "user.name=t",
        "-c",
        "user.email=t@test",
        "-c",
        "init.defaultBranch=main",
        "-c",
        "protocol.version=2",
    ]
    env = {
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_SSL_CAINFO": str(world.certs.ca),
    }
    return world.run(
        "git", *who, "-c", f"http.proxy={world.proxy.url}", *arguments, env=env, cwd=cwd, **more
    )
