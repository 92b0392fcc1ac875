"""axe-core, which finds what stands in the way of people with disabilities: fetched by npm into a folder that is
kept (the build's, by AXE_FOLDER) or thrown away.  Where it cannot be had the tests that want it fail."""

import os
import pathlib
import shutil
import subprocess
import tempfile

VERSION = "4.14.1"
FETCH_S = 180


def fetch(folder):
    """Puts the package into a folder."""
    npm = shutil.which("npm")
    assert npm, "npm is missing: it fetches axe-core (tests/packages.txt)"
    env = dict(os.environ)
    if env.get("VIADUCT_FETCH_PROXY"):  # of whoever runs the tests; the tests themselves know none
        env["npm_config_proxy"] = env["npm_config_https_proxy"] = env["VIADUCT_FETCH_PROXY"]
    command = [npm, "install", "--prefix", str(folder), "--no-save", "--ignore-scripts", "--no-audit", "--no-fund"]
    done = subprocess.run(
        [*command, f"axe-core@{VERSION}"], capture_output=True, text=True, timeout=FETCH_S, check=False, env=env
    )
    assert done.returncode == 0, f"npm cannot fetch axe-core {VERSION}:\n{done.stdout}{done.stderr}"


def source():
    """The script, as a page takes it."""
    kept = os.environ.get("AXE_FOLDER")
    folder = pathlib.Path(kept or tempfile.mkdtemp(prefix="viaduct-axe-"))
    path = folder / VERSION / "node_modules/axe-core/axe.min.js"
    try:
        if not path.exists():
            (folder / VERSION).mkdir(parents=True, exist_ok=True)
            fetch(folder / VERSION)
        return path.read_text()
    finally:
        if not kept:
            shutil.rmtree(folder, ignore_errors=True)


class Axe:
    def __init__(self):
        self.script = source()

    def check(self, tab, what):
        """Asserts that the page that a tab shows has no serious fault."""
        if not tab.run("typeof axe === 'object'"):
            tab.ask("Runtime.evaluate", expression=self.script)
        found = tab.run(
            "axe.run(document, {resultTypes: ['violations']}).then((r) => r.violations"
            ".filter((v) => v.impact === 'serious' || v.impact === 'critical')"
            ".map((v) => ({id: v.id, help: v.help, where: v.nodes.slice(0, 5).map((n) => n.html.slice(0, 200)"
            " + ' :: ' + n.any.concat(n.all, n.none).map((c) => c.message).join('; '))})))"
        )
        assert found == [], f"{what}: {found}"
