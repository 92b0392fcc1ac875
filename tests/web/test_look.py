"""The console's pages on a phone and on a wall, light and dark: nothing is cut off, and axe-core finds nothing serious.
With VIADUCT_SCREENSHOTS=FOLDER each page is also drawn there, for the README."""

import os
import pathlib
import random
import select
import socket

import pytest

from admin import NAME, PASSWORD, UPSTREAM, Site
from client import Client
from dns import DnsServer
from png import shrink
from target import HttpTarget, Target, echo, reply
from viaduct import wait_until

ACCESS = (
    "deny private off; deny ports off; "
    "deny report trial { to .example.net; } deny social { to social.example .social.example; } "
    "allow updates { to .updates.example; port 443 1-65535; } allow guests { user guest; } allow all { from loopback; }"
)
HOSTS = [("127.0.0.1", f"{name}.example") for name in ("files", "eu.updates", "us.updates", "mirror")]
SCREENSHOT_MAX = 80 * 1000
PAGES = ["/", "/connections", "/history", "/diagnose", "/settings", "/access", "/accounts"]
PAGES += [f"/configuration?tab={name}" for name in ("effective", "edit", "versions", "changes")]
LOOKS = {
    "phone": {"language": "ja", "width": 360, "height": 740, "dark": True},
    "desk": {"language": "en", "width": 1280, "height": 800, "dark": False},
    "wall": {"language": "en", "width": 1920, "height": 1080, "dark": True},
}


class World:
    """A proxy that has seen something, its administrator, and connections that are open."""

    def __enter__(self):
        sizes = {"/large": 1 << 20}
        self.web = HttpTarget(lambda r: reply(b"x" * sizes.get(r.path, random.randint(100, 90000))))
        self.echo = Target(echo)
        self.dns = DnsServer().__enter__()
        self.site = Site(
            access=ACCESS,
            hosts=HOSTS,
            resolver=f"hosts hosts; servers {self.dns.address};",
            extra="upstream upstream.conf; authentication { accounts accounts.conf; }",
            files={"upstream.conf": UPSTREAM},
        )
        self.site.give("upstream.conf", "viaduct.conf")
        self.console = self.site.administrator()
        for name in ("fmc", "guest", "build"):
            self.ask("POST", "/api/v1/accounts", {"name": name, "password": "a long one"})
        self.ask("PUT", "/api/v1/accounts/build", {"disabled": True})
        self.clients = []
        self.open_some(6)
        self.fail_some()
        return self

    def ask(self, method, path, body):
        answer = self.console.ask(method, path, body)
        assert answer.status < 300, answer.text
        return answer.json

    def open_some(self, n):
        for i in range(n):
            name = ("eu.updates", "us.updates", "files", "mirror")[i % 4]
            client = Client(self.site).connect(f"{name}.example:{self.echo.authority.split(':')[1]}")
            size = 800 * (i + 1) ** 2
            client.send("x" * size).read(size)
            self.clients.append(client)

    def fail_some(self):
        port = self.web.authority.split(":")[1]
        urls = [f"http://files.example:{port}/{name}.iso" for name in ("a", "b", "c")]
        urls += ["http://social.example/feed", "http://www.social.example/", "http://files.example:1/"]
        urls += ["http://nowhere.example.net/"]
        running = [self.site.curl("-o", "/dev/null", url) for url in urls]
        for one in running:
            one.wait(30)
        wait_until(lambda: len(self.console.get("/api/v1/flows").json["flows"]) >= len(urls))

    def change_configuration(self):
        now = self.console.get("/api/v1/configuration").json
        text = now["text"].replace("drain-timeout 2s", "drain-timeout 2s; idle-timeout 30m")
        self.ask("PUT", "/api/v1/configuration", {"text": text, "base": now["base"]})

    def __exit__(self, *_):
        for client in self.clients:
            client.close()
        self.site.__exit__(*_)
        self.dns.__exit__(*_)
        self.web.close()
        self.echo.close()


@pytest.fixture(scope="module")
def world():
    with World() as shared:
        shared.change_configuration()
        yield shared


def settle(tab, path):
    """Waits until a page shows what it has to show."""
    tab.wait("document.querySelector('main h1') && !document.querySelector('main .loading, main [aria-busy]')")
    if path == "/":
        tab.wait("document.querySelector('.throughput canvas')?.style.height && document.querySelector('.verdicts li')")
    elif path == "/connections":
        tab.wait("document.querySelectorAll('tbody tr').length > 5")
    elif path == "/configuration?tab=edit":
        tab.wait("document.querySelector('textarea')?.value")
    tab.wait("document.fonts.ready.then(() => true)")


def fits(tab, what):
    """Asserts that the page is not wider than the screen."""
    wide = tab.run("document.documentElement.scrollWidth - window.innerWidth")
    if wide > 0:
        guilty = tab.run(
            "[...document.querySelectorAll('body *')].filter((e) => e.getBoundingClientRect().right > innerWidth + 1)"
            ".slice(0, 8).map((e) => e.outerHTML.slice(0, 120))"
        )
        raise AssertionError(f"{what} is {wide} pixels too wide: {guilty}")


@pytest.mark.parametrize("look", LOOKS)
def test_each_page_fits_and_can_be_read_by_everybody(browser, axe, world, look):
    settings = dict(LOOKS[look])
    tab = browser.tab(settings.pop("language"), **settings)
    world.site.enter(tab, world.console, "/")
    for path in PAGES:
        tab.open(world.site.site + path)
        settle(tab, path)
        fits(tab, f"{look}: {path}")
        axe.check(tab, f"{look}: {path}")
    tab.open(f"{world.site.site}/connections")
    settle(tab, "/connections")
    tab.click("tbody .link")
    tab.wait("document.querySelector('dialog svg.v-ladder')")
    fits(tab, f"{look}: a flow")
    axe.check(tab, f"{look}: a flow")
    tab.click("dialog .danger")
    tab.wait("document.querySelector('dialog form')")
    fits(tab, f"{look}: ending it")
    axe.check(tab, f"{look}: ending it")
    tab.is_clean(world.site.console_port)
    tab.close()


@pytest.mark.parametrize("look", ["phone", "desk"])
def test_the_entrance(browser, axe, look):
    settings = dict(LOOKS[look])
    tab = browser.tab(settings.pop("language"), **settings)
    with Site() as site:
        tab.open(site.site)
        tab.wait("document.querySelector('main pre')")  # nobody can log in yet
        fits(tab, "nobody")
        axe.check(tab, "nobody")
        tab.open(f"{site.site}/?#setup={site.setup_token}")
        tab.wait("document.querySelectorAll('form input').length === 3")
        fits(tab, "the link")
        axe.check(tab, "the link")
        site.administrator()
        tab.open(f"{site.site}/")
        tab.wait("document.querySelectorAll('form input').length === 2")
        fits(tab, "logging in")
        axe.check(tab, "logging in")
        tab.is_clean(site.console_port)
    tab.close()


def test_the_menu_of_a_phone(browser, axe, world):
    tab = browser.tab("en", width=360, height=740)
    world.site.enter(tab, world.console, "/access")
    assert not tab.run("window.testing.shown(document.querySelector('nav'))")
    tab.run("document.querySelector('.skip').focus()")
    tab.tab_to("Menu")
    tab.key("Enter")
    tab.wait("window.testing.shown(document.querySelector('nav'))")
    fits(tab, "the menu")
    axe.check(tab, "the menu")
    tab.tab_to("History")
    tab.key("Enter")
    tab.see("History", "h1")
    assert not tab.run("window.testing.shown(document.querySelector('nav'))")
    tab.close()


def test_the_content_is_one_key_away(browser, world):
    tab = browser.tab("en")
    world.site.enter(tab, world.console, "/access")
    tab.key("Tab")
    assert "Skip" in tab.focused()
    tab.key("Enter")
    assert tab.run("document.activeElement.id") == "main"
    names = [("main", 1), ("nav", 1), ("header", 1), ("h1", 1)]
    assert [(n, tab.run("document.querySelectorAll(n).length", n=n)) for n, _ in names] == names
    tab.close()


# --- screenshots


def draw(tab, folder, name):
    picture = shrink(tab.screenshot())
    assert len(picture) < SCREENSHOT_MAX, (name, len(picture))
    (folder / f"{name}.png").write_bytes(picture)


@pytest.mark.skipif("VIADUCT_SCREENSHOTS" not in os.environ, reason="nobody asks for screenshots")
def test_screenshots(browser):
    folder = pathlib.Path(os.environ["VIADUCT_SCREENSHOTS"])
    folder.mkdir(parents=True, exist_ok=True)
    random.seed(1)
    with World() as world:
        tab = browser.tab("en", width=1200, height=750)
        tab.open(f"{world.site.site}/")
        tab.wait("document.querySelectorAll('form input').length === 2")
        draw(tab, folder, "login")
        world.site.enter(tab, world.console)
        settle(tab, "/")
        chart = "globalThis.Chart?.getChart(document.querySelector('.throughput canvas'))"
        seen = f"{chart}?.data.labels.at(-1) || ''"
        large = f"http://files.example:{world.web.authority.split(':')[1]}/large"
        for i in range(40):  # something for the charts
            downloads = [world.site.curl("-o", "/dev/null", large) for _ in range(i // 3 % 3)]
            for client in world.clients[: 1 + i % 4]:
                client.send("y" * random.randint(20000, 900000 // (1 + i % 7)))
                while client.sock.recv(1 << 20, socket.MSG_DONTWAIT) if select.select([client.sock], [], [], 0)[0] else b"":
                    pass
            n = tab.run(seen)
            tab.wait(f"({seen}) !== n", n=n)
            for one in downloads:
                one.wait(30)
        draw(tab, folder, "overview")
        world.open_some(12)
        tab.open(f"{world.site.site}/connections?sort=up&order=desc")
        settle(tab, "/connections")
        tab.wait("document.querySelectorAll('tbody tr').length > 15")
        draw(tab, folder, "connections")
        tab.open(f"{world.site.site}/history?failed=1")
        settle(tab, "/history")
        tab.click("tbody .link", "files.example:1")
        tab.wait("document.querySelector('dialog svg.v-ladder')")
        draw(tab, folder, "history")
        tab.open(f"{world.site.site}/diagnose")
        tab.fill("URL", "http://social.example/")
        tab.click("form button.primary")
        tab.see("Done: ")
        tab.size(1200, 1000)
        draw(tab, folder, "diagnose")
        tab.size(1200, 750)
        tab.open(f"{world.site.site}/settings")
        tab.click("label", "Enabled")
        tab.fill("HTTP proxy", "127.0.0.1")
        tab.fill("Port", "1")
        tab.click("button", "Test and save")
        tab.see("Save anyway", seconds=30)
        tab.run("scrollTo(0, 0)")
        draw(tab, folder, "settings")
        tab.open(f"{world.site.site}/access")
        settle(tab, "/access")
        tab.fill("Target", "https://www.social.example/")
        tab.click("button", "Test")
        tab.wait("document.querySelector('.decision')")
        draw(tab, folder, "access")
        tab.open(f"{world.site.site}/accounts")
        settle(tab, "/accounts")
        draw(tab, folder, "accounts")
        tab.open(f"{world.site.site}/configuration?tab=edit")
        settle(tab, "/configuration?tab=edit")
        tab.run(
            "((a) => { a.value = a.value.replace('allow updates', 'deny updates').replace('limits {', 'limitz {');"
            " a.dispatchEvent(new Event('input')); })(document.querySelector('textarea'))"
        )
        tab.wait("document.querySelector('.problems li')")
        draw(tab, folder, "configuration")
        tab.close()
        phone = browser.tab("ja", width=360, height=740, dark=True)
        world.site.enter(phone, world.console)
        settle(phone, "/")
        draw(phone, folder, "phone")
        phone.close()
