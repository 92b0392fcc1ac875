"""`viaduct clients`: what it writes is what the real programs read, and every file comes back to the byte."""

import base64
import configparser
import http.server
import json
import os
import pathlib
import shutil
import subprocess
import threading

import pytest

from viaduct import BINARY, SANITIZER

RELAY = "http://127.0.0.1:3128"
PASSWORD = "p@ss:/%\"'#w0rd"
ENCODED = "p%40ss%3A%2F%25%22%27%23w0rd"

PROGRAMS = ["curl", "wget", "git", "pip3", "docker", "dockerd", "apt-get", "npm"]

# A file, and the line that sets a proxy in it.
SYSTEM = {
    "etc/environment": "HTTPS_PROXY=http://old:1",
    "etc/profile.d/viaduct.sh": "export http_proxy=http://old:1",
    "etc/apt/apt.conf.d/zz-viaduct.conf": 'Acquire::http::Proxy "http://old:1";',
    "etc/wgetrc": "https_proxy = http://old:1",
    "etc/gitconfig": "[http]\n\tproxy = http://old:1",
    "etc/npmrc": "https-proxy=http://old:1",
    "etc/pip.conf": "[global]\nproxy = http://old:1",
    "etc/systemd/system/docker.service.d/zz-viaduct.conf": '[Service]\nEnvironment="http_proxy=http://old:1"',
    "etc/systemd/system.conf.d/zz-viaduct.conf": "[Manager]\nDefaultEnvironment=http_proxy=http://old:1",
}
USER = {
    "home/.curlrc": "proxy http://old:1",
    "home/.wgetrc": "https_proxy = http://old:1",
    "home/.gitconfig": "[http]\n\tproxy = http://old:1",
    "home/.npmrc": "https-proxy=http://old:1",
    "home/.config/pip/pip.conf": "[global]\nproxy = http://old:1",
    "home/.docker/config.json": '{"proxies": {"default": {"httpProxy": "http://old:1"}}}',
}
STARTS = ["", "\n", "# c\n", "# \u00fc \u65e5\u672c", "# a\r\n\r\n# b\r\n", "# a\r\n# b"]


class Machine:
    """The root folder of a machine that has all the programs."""

    def __init__(self, folder):
        self.root = folder / "root"
        self.home = self.root / "home"
        for name in ["home", "etc/profile.d", "etc/apt/apt.conf.d", "usr/bin"]:
            (self.root / name).mkdir(parents=True)
        for name in PROGRAMS:
            (self.root / "usr/bin" / name).touch()
        for name in ["usr/share/nodejs/npm/x", "usr/lib/systemd/systemd"]:
            self.write(name, "")

    def write(self, name, text, mode=0o644):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())
        path.chmod(mode)
        return path

    def state(self):
        """Every file, folder and link, with its content, mode and owner."""
        found = {}
        for path in sorted(self.root.rglob("*")):
            content = (
                os.readlink(path)
                if path.is_symlink()
                else path.read_bytes() if path.is_file() else None
            )
            status = path.lstat()
            found[str(path)] = content, oct(status.st_mode), status.st_uid
        return found

    def run(self, *arguments, status=0, command=()):
        env = {"HOME": "/home", "PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}
        done = subprocess.run(
            [*command, BINARY, "clients", *arguments, "--root", str(self.root)],
            capture_output=True, text=True, timeout=60, check=False, env=env,
        )  # fmt: skip
        assert not SANITIZER.search(done.stderr), done.stderr
        assert done.returncode == status, (done.stdout, done.stderr)
        assert PASSWORD not in done.stdout + done.stderr
        assert ENCODED not in done.stdout + done.stderr
        return done

    def upstream(self, extra=""):
        """The options for upstream settings with a password."""
        folder = self.root.parent
        (folder / "upstream.conf").write_text(
            f'iprep_proxy {{ PROXY_HOST proxy.example; PROXY_PORT 80; PROXY_USER "m e";'
            ' PROXY_PASSWORD "' + PASSWORD.replace('"', '\\"') + '";'
            f" NO_PROXY *.internal.example 10.0.0.0/8 host.example; {extra} }}"
        )
        (folder / "upstream.conf").chmod(0o600)
        (folder / "viaduct.conf").write_text("upstream upstream.conf;\n")
        return "-c", str(folder / "viaduct.conf")


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


def scopes():
    return [((), SYSTEM), (("--user",), USER)]


@pytest.mark.parametrize("user,files", scopes(), ids=["system", "user"])
@pytest.mark.parametrize("start", [None, *STARTS], ids=repr)
def test_every_file_comes_back_to_the_byte(machine, user, files, start):
    for name in files if start is not None else []:
        machine.write(name, "{}\n" if name.endswith("json") else start, 0o640)
    before = machine.state()
    machine.run("apply", "--proxy", RELAY, *user)
    applied = machine.state()
    for name in files:
        assert b"127.0.0.1:3128" in (machine.root / name).read_bytes(), name
    assert "written" not in machine.run("apply", "--proxy", RELAY, *user).stdout
    assert machine.state() == applied
    machine.run("apply", "--proxy", "http://[::1]:8080", *user)
    assert machine.state() != applied
    machine.run("remove", *user)
    assert machine.state() == before
    machine.run("remove", *user)
    assert machine.state() == before


def test_curl_has_no_file_for_the_machine_and_says_so(machine):
    assert "curl     follows env" in machine.run("show").stdout
    assert "follows env" not in machine.run("show", "--user").stdout


@pytest.mark.parametrize("user,files", scopes(), ids=["system", "user"])
def test_somebody_elses_setting_is_refused_or_put_aside(machine, user, files):
    for name, line in files.items():
        machine.write(name, line if name.endswith("json") else f"# mine\n{line}\n# end")
    before = machine.state()
    shown = machine.run("show", *user).stdout
    assert shown.count("somebody else") == len(files) and "http://old:1" in shown
    refused = machine.run("apply", "--proxy", RELAY, *user, status=2).stderr
    for name, line in files.items():
        number = 1 if name.endswith("json") else 2 + line.count("\n")
        assert f"{machine.root / name}:{number}: somebody else set a proxy here" in refused
    assert machine.state() == before
    machine.run("apply", "--proxy", RELAY, "--force", *user)
    shown = machine.run("show", *user).stdout
    assert "somebody else" not in shown and shown.count("viaduct") >= len(files)
    applied = machine.state()
    machine.run("apply", "--proxy", RELAY, *user)
    assert machine.state() == applied
    machine.run("remove", *user)
    assert machine.state() == before


def test_settings_in_files_beside(machine):
    machine.write("etc/apt/apt.conf", 'Acquire { http { Proxy "http://u:s3cret@old:1"; } }\n')
    machine.write("etc/profile.d/aaa.sh", "export http_proxy=x\n")
    machine.write("etc/docker/daemon.json", '{\n "proxies": {"http-proxy": "x"}}')
    machine.write("etc/apt/apt.conf.d/50x.save", 'Proxy "x";')
    shown = machine.run("show").stdout
    assert "http://u:••••@old:1" in shown and "50x.save" not in shown and "s3cret" not in shown
    before = machine.state()
    for option in [(), ("--force",)]:
        refused = machine.run(
            "apply", "apt", "docker", "--proxy", RELAY, *option, status=2
        ).stderr
        assert "apt.conf:1: somebody else set a proxy here, and it goes over" in refused
        assert "daemon.json:2: somebody else set a proxy here, and it goes over" in refused
    assert machine.state() == before
    refused = machine.run("apply", "env", "--proxy", RELAY, status=2).stderr
    assert "aaa.sh:1: somebody else set a proxy here: --force goes over it" in refused
    machine.run("apply", "env", "--proxy", RELAY, "--force")
    machine.run("remove")
    assert machine.state() == before


def test_files_that_a_program_does_not_read_are_no_matter(machine):
    machine.write("etc/apt/apt.conf.d/50x.save", 'Acquire::http::Proxy "x";')
    machine.write("etc/profile.d/x.sh.save", "export http_proxy=x")
    machine.run("apply", "apt", "env", "--proxy", RELAY)


def test_a_dry_run_prints_a_diff_that_patch_takes(machine, tmp_path):
    machine.write("etc/wgetrc", "a = b\n# c")
    machine.write("etc/pip.conf", "[global]\nindex-url = https://u:s3cret@x/\n")
    machine.write("home/.npmrc", "//x/:_authToken=s3cret\n")
    before = machine.state()
    need("patch")
    diff = machine.run("apply", "--proxy", RELAY, "--dry-run").stdout
    assert "s3cret" not in diff + machine.run("apply", "--user", "-n", "-x", RELAY).stdout
    assert machine.state() == before
    diff = machine.run("apply", "wget", "--proxy", RELAY, "--dry-run").stdout
    machine.run("apply", "wget", "--proxy", RELAY)
    applied = (machine.root / "etc/wgetrc").read_bytes()
    copy = tmp_path / "copy"
    copy.write_bytes(b"a = b\n# c")
    subprocess.run(["patch", "-s", str(copy)], input=diff, text=True, check=True)
    assert copy.read_bytes() == applied
    machine.run("remove", "--dry-run")
    assert (machine.root / "etc/wgetrc").read_bytes() == applied


def test_passwords(machine):
    options = machine.upstream()
    before = machine.state()
    refused = machine.run("apply", *options, status=2).stderr
    assert refused.count("every user of the machine reads it") == len(SYSTEM)
    assert machine.state() == before
    machine.write("home/.wgetrc", "a = b\n", 0o644)
    before = machine.state()
    assert "m%20e:••••@proxy.example:80" in machine.run("apply", "--user", "-n", *options).stdout
    machine.run("apply", "--user", *options)
    for name in USER:
        path = machine.root / name
        assert ENCODED in path.read_text() and path.stat().st_mode & 0o777 == 0o600, name
    record = machine.home / ".local/state/viaduct/clients/docker"
    assert record.stat().st_mode & 0o777 == 0o600
    assert "m%20e:••••@proxy.example:80" in machine.run("show", "--user").stdout
    machine.run("remove", "--user")
    assert machine.state() == before


def test_edits_by_others_are_not_lost(machine):
    machine.run("apply", "--proxy", RELAY)
    machine.run("apply", "--user", "--proxy", RELAY)
    path = machine.root / "etc/wgetrc"
    path.write_text(path.read_text().replace("use_proxy = on\n", "use_proxy = on\nmine = 1\n"))
    refused = machine.run("remove", status=2).stderr
    assert f"{path}:1: somebody changed the lines between viaduct's marks" in refused
    assert "mine = 1" in path.read_text()
    machine.run("remove", "--force")
    assert not path.exists()

    docker = machine.home / ".docker/config.json"
    content = json.loads(docker.read_text())
    content["auths"] = {"x": {}}
    docker.write_text(json.dumps(content, indent=1))
    assert "docker   viaduct" in machine.run("show", "--user").stdout
    content["proxies"]["default"]["noProxy"] = "mine"
    docker.write_text(json.dumps(content))
    assert "docker   somebody else" in machine.run("show", "--user").stdout
    assert "somebody changed" in machine.run("remove", "--user", status=2).stderr
    content["proxies"]["default"]["noProxy"] = "localhost,127.0.0.1,::1"
    docker.write_text(json.dumps(content))
    machine.run("remove", "--user")
    assert json.loads(docker.read_text()) == {"auths": {"x": {}}}
    assert not (machine.home / ".local").exists()


def test_links_owners_and_modes_are_kept(machine):
    real = machine.write("home/dotfiles/curlrc", "# mine\n", 0o640)
    (machine.home / ".curlrc").symlink_to("/home/dotfiles/curlrc")
    os.chown(real, 12345, 12345)
    before = machine.state()
    machine.run("apply", "curl", "--user", "--proxy", RELAY)
    assert (machine.home / ".curlrc").is_symlink() and RELAY in real.read_text()
    assert (real.stat().st_uid, real.stat().st_mode & 0o777) == (12345, 0o640)
    machine.run("remove", "--user")
    assert machine.state() == before


def test_links_do_not_lead_out_of_the_root_folder(machine, tmp_path):
    outside = tmp_path / "outside"
    outside.write_text("# theirs\n")
    (machine.root / "etc/wgetrc").symlink_to(outside)
    (machine.root / "etc/gitconfig").symlink_to("../../../../../.." + str(outside))
    assert "is a link to nothing" in machine.run("apply", "wget", "-x", RELAY, status=3).stderr
    machine.run("apply", "git", "-x", RELAY, status=3)
    assert outside.read_text() == "# theirs\n"


def test_a_full_disk_leaves_the_old_file(machine):
    machine.write("etc/wgetrc", "# " + "x" * 4094 + "\n")
    machine.write("home/.docker/config.json", '{"a": "' + "x" * 4096 + '"}')
    before = machine.state()
    limit = ("prlimit", "--fsize=4096")
    trap = ("env", "--ignore-signal=XFSZ")
    assert "wgetrc: cannot be written" in machine.run(
        "apply", "wget", "-x", RELAY, status=3, command=(*trap, *limit)
    ).stderr
    machine.run("apply", "docker", "--user", "-x", RELAY, status=3, command=(*trap, *limit))
    assert machine.state() == before


def test_what_cannot_be_is_said(machine):
    assert "curl: has no file for the whole machine" in machine.run(
        "apply", "curl", "-x", RELAY, status=2
    ).stderr
    assert "leave out --user" in machine.run("apply", "env", "--user", status=2).stderr
    assert '(did you mean wget?)' in machine.run("apply", "wgte", "-x", RELAY, status=2).stderr
    assert "wget cannot reach a proxy by TLS" in machine.run(
        "apply", "wget", "-x", "https://p:1", status=2
    ).stderr
    for bad in ["p:1", "http://p", "http://p:0", "http://p:99999", "http://a b:1", "http://[x]:1", "http://'p:1"]:
        assert "--proxy" in machine.run("apply", "-x", bad, status=2).stderr, bad
    said = machine.run("apply", "-x", "http://u:s3cret@p:1", status=2).stderr
    assert "ps shows them" in said and "s3cret" not in said
    machine.root.parent.joinpath("none.conf").write_text("")
    said = machine.run("apply", "-c", str(machine.root.parent / "none.conf"), status=2).stderr
    assert "no upstream proxy is set" in said
    (machine.home / ".docker").mkdir()
    (machine.home / ".docker/config.json").write_text("[]")
    assert "is no JSON object" in machine.run("apply", "docker", "--user", "-x", RELAY, status=2).stderr
    (machine.root / "etc/wgetrc").mkdir()
    assert "is no regular file" in machine.run("apply", "wget", "-x", RELAY, status=3).stderr


def ask(*command, **env):
    env = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", **env}
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False, env=env, cwd="/"
    )
    assert done.returncode == 0, done
    return done.stdout.strip()


def need(program):
    if not shutil.which(program):
        pytest.skip(f"{program} is not installed")


def test_the_shell_and_the_environment(machine):
    machine.run("apply", "env", "--proxy", RELAY)
    script = machine.root / "etc/profile.d/viaduct.sh"
    ask("sh", "-n", str(script))
    read = ask("sh", "-c", f'. {script}; echo "$https_proxy $HTTP_PROXY $no_proxy"')
    assert read == f"{RELAY} {RELAY} localhost,127.0.0.1,::1"
    lines = (machine.root / "etc/environment").read_text().splitlines()
    assert f"http_proxy={RELAY}" in lines


def test_curl_goes_through_it(machine, proxy):
    need("curl")
    machine.run("apply", "curl", "--user", "--proxy", proxy.url)
    done = subprocess.run(
        ["curl", "-sS", "-m", "20", "http://no-such-name.invalid/"],
        env={"CURL_HOME": str(machine.home), "PATH": os.environ["PATH"]}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "upstream-unresolved" in done.stdout
    proxy.flow()


class Asking(http.server.BaseHTTPRequestHandler):
    """A proxy that asks for credentials by Basic and keeps those that it was shown."""

    def do_GET(self):
        shown = self.headers.get("Proxy-Authorization")
        self.server.shown.append(shown)
        self.send_response(200 if shown else 407)
        self.send_header("Proxy-Authenticate", 'Basic realm="x"')
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.mark.parametrize("program", ["curl", "wget"])
def test_they_log_in_with_the_password_as_it_was_set(machine, program):
    need(program)
    machine.run("apply", program, "--user", *machine.upstream())
    path = machine.home / f".{program}rc"
    assert program != "curl" or "proxy-anyauth\n" in path.read_text()  # for Digest, too
    with http.server.HTTPServer(("127.0.0.1", 0), Asking) as server:
        server.shown = []
        threading.Thread(target=server.serve_forever, daemon=True).start()
        text = path.read_text().replace("proxy.example:80", f"127.0.0.1:{server.server_port}")
        path.write_text(text)
        options = {"curl": ["-sS", "-m", "20"], "wget": ["-qO-", "-t", "1", "-T", "20"]}
        ask(program, *options[program], "http://a.example/",
            CURL_HOME=str(machine.home), WGETRC=str(path))  # fmt: skip
        server.shutdown()
    wanted = base64.b64encode(f"m e:{PASSWORD}".encode()).decode()
    assert server.shown[-1] == f"Basic {wanted}"


def test_git_reads_it(machine):
    need("git")
    machine.write("etc/gitconfig", "[user]\n\tname = x")
    options = machine.upstream()
    machine.run("apply", "git", "--user", *options)
    env = {"GIT_CONFIG_GLOBAL": str(machine.home / ".gitconfig"), "GIT_CONFIG_NOSYSTEM": "1"}

    def read(url):
        return ask("git", "config", "--get-urlmatch", "http.proxy", url, **env)

    assert read("https://a.example/x") == f"http://m%20e:{ENCODED}@proxy.example:80"
    for url in ["http://localhost/", "https://[::1]/", "https://host.example/x", "https://a.internal.example/"]:
        assert read(url) == "", url
    machine.run("apply", "git", "--proxy", RELAY)
    env = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": str(machine.root / "etc/gitconfig")}
    assert read("https://a.example/") == RELAY
    assert ask("git", "config", "user.name", **env) == "x"


def test_apt_reads_it(machine):
    need("apt-config")
    machine.run("apply", "apt", "--proxy", RELAY)
    path = machine.root / "etc/apt/apt.conf.d/zz-viaduct.conf"
    dump = ask("apt-config", "dump", APT_CONFIG=str(path)).splitlines()
    for line in [f'Acquire::http::Proxy "{RELAY}";', f'Acquire::https::Proxy "{RELAY}";', 'Acquire::http::Proxy::localhost "DIRECT";']:
        assert line in dump


def test_npm_reads_it(machine):
    need("npm")
    machine.write("home/.npmrc", "[x]\na=b\n")
    machine.run("apply", "npm", "--user", "--proxy", RELAY)
    env = {"NPM_CONFIG_USERCONFIG": str(machine.home / ".npmrc"), "HOME": str(machine.home)}
    assert ask("npm", "config", "get", "proxy", **env).rstrip("/") == RELAY
    assert ask("npm", "config", "get", "https-proxy", **env).rstrip("/") == RELAY
    assert ask("npm", "config", "get", "noproxy", **env) == "localhost,127.0.0.1,::1"


@pytest.mark.parametrize(
    "start",
    ["", "[global]", "[global]\n  a = b\n    c\n\n[install]\nd = e\n", "[install]\nd = e", "[global]\n\ta = b\r\n# c\r\n", "[global]\n  a = b\n  [x]\n  c = d\n"],
    ids=repr,
)  # fmt: skip
def test_pip_reads_it(machine, start):
    path = machine.write("etc/pip.conf", start)
    old, new = configparser.RawConfigParser(), configparser.RawConfigParser()
    old.read_string(start)
    machine.run("apply", "pip", "--proxy", RELAY)
    new.read(path)
    assert new.get("global", "proxy") == RELAY
    new.remove_option("global", "proxy")
    for section in old.sections():
        assert dict(new[section]) == dict(old[section])


def test_docker_reads_it(machine):
    machine.write("home/.docker/config.json", '{"auths": {}, "x": [1, {}]}')
    machine.run("apply", "docker", "--user", *machine.upstream())
    content = json.loads((machine.home / ".docker/config.json").read_text())
    url = f"http://m%20e:{ENCODED}@proxy.example:80"
    assert content == {
        "auths": {},
        "x": [1, {}],
        "proxies": {
            "default": {
                "httpProxy": url,
                "httpsProxy": url,
                "noProxy": "localhost,127.0.0.1,::1,.internal.example,10.0.0.0/8,host.example",
            }
        },
    }


def test_systemd_reads_it(machine):
    need("systemd-analyze")
    machine.run("apply", "systemd", "docker", "--proxy", RELAY)
    machine.write("etc/systemd/system.conf", "[Manager]\n")
    shown = ask("systemd-analyze", f"--root={machine.root}", "cat-config", "systemd/system.conf")
    assert f'DefaultEnvironment="https_proxy={RELAY}"' in shown
    unit = pathlib.Path(machine.root / "etc/systemd/system/docker.service.d/zz-viaduct.conf")
    assert f'Environment="https_proxy={RELAY}"' in unit.read_text()


def test_systemd_expands_percent_signs(machine):
    options = machine.upstream()
    path = pathlib.Path(options[1]).with_name("upstream.conf")
    path.write_text('iprep_proxy { PROXY_HOST p.example; PROXY_PORT 80; PROXY_USER "m e"; }')
    machine.run("apply", "systemd", *options)
    written = (machine.root / "etc/systemd/system.conf.d/zz-viaduct.conf").read_text()
    assert '"http_proxy=http://m%%20e@p.example:80"' in written
