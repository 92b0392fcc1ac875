"""The console's pages do each its main task, in both languages, with the real proxy behind them and curl's traffic."""

import http.client
import json
import os
import pathlib
import re
import signal
import threading
import time

import pytest

from admin import NAME, PASSWORD, UPSTREAM, Site
from client import Client, get
from console import Console
from login import basic
from packets import black_hole, denied, healthy, pcap
from squid import Squid
from target import HttpTarget, Target, echo, reply
from viaduct import wait_until

ASSETS = pathlib.Path(__file__).resolve().parents[2] / "src/console/assets"
SIZE_MAX = 300 * 1000
LANGUAGES = ["en", "ja"]
ENGLISH = pytest.mark.parametrize("language", ["en"])  # what is no matter of words
JAPANESE = pytest.mark.parametrize("language", ["ja"])


def dictionary(language):
    text = (ASSETS / f"{language}.js").read_text()
    found = re.findall(r"^  '([^']+)': '((?:[^'\\]|\\.)*)',$", text, re.M)
    assert len(found) == text.count("\n  '"), "a line of the dictionary is not as all others are"
    return dict(found)


WORDS = {language: dictionary(language) for language in LANGUAGES}


@pytest.fixture(params=LANGUAGES)
def language(request):
    return request.param


@pytest.fixture
def say(language):
    """What the pages say for a key."""

    def words(key, **arguments):
        return re.sub(r"\{(\w+)\}", lambda m: str(arguments[m[1]]), WORDS[language][key])

    return words


@pytest.fixture
def tab(browser, language, request):
    """A tab in that language; the test fails when its page does what it must not."""
    tab = browser.tab(language)
    tab.port = None
    yield tab
    if tab.port:
        tab.is_clean(tab.port)
    tab.close()


def enter(site, tab, path="/", console=None):
    tab.port = site.console_port
    console = console or site.administrator()
    site.enter(tab, console, path)
    return console


def hold(connection):
    """A target that answers and then keeps its connection."""
    connection.head()
    connection.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n", b"x" * 5000)
    connection.hold()


def rows(tab):
    return tab.run("[...document.querySelectorAll('tbody tr')].map((r) => r.innerText)")


# --- the dictionaries, and what is served


def test_both_dictionaries_have_the_same_keys_and_arguments():
    english, japanese = WORDS["en"], WORDS["ja"]
    assert list(english) == list(japanese)
    for key, text in english.items():
        assert sorted(re.findall(r"\{\w+\}", text)) == sorted(re.findall(r"\{\w+\}", japanese[key])), key


def test_every_key_that_a_page_asks_for_is_there():
    for path in ASSETS.glob("*.js"):
        if path.stem in LANGUAGES:
            continue
        for call in re.findall(r"\b(?:say|tell)\(('[^)]*)\)", path.read_text()):
            for key in re.findall(r"'([a-z_]+(?:\.[A-Za-z_-]+)*)'", call.split(", {")[0]):
                assert key in WORDS["en"], (path.name, key)


def test_nothing_is_inline_and_nothing_writes_markup():
    for path in ASSETS.iterdir():
        text = path.read_text()
        assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(", text), path.name
    page = (ASSETS / "index.html").read_text()
    assert not re.search(r"<script>|<style|style=|\son\w+=", page)


def test_all_assets_are_small():
    with Site() as site:
        total, seen, queue = 0, set(), ["/"]
        while queue:
            path = queue.pop()
            if path in seen:
                continue
            seen.add(path)
            connection = http.client.HTTPConnection("127.0.0.1", site.console_port, timeout=30)
            connection.request("GET", path, headers={"Accept-Encoding": "gzip"})
            total += len(connection.getresponse().read())
            text = Console(site).get(path).text
            queue += re.findall(r'"(/assets/[\w./]+)"', text)
            queue += [f"{path.rpartition('/')[0]}/{name}" for name in re.findall(r"'\./([\w.]+)'", text)]
        names = {path.rpartition("/")[2] for path in seen}
        assert {"chart.js", "ja.js", "sentences.json", "style.css"} <= names and len(names) == len(seen)
        assert len(seen) > 20 and total < SIZE_MAX, (total, seen)


def test_the_second_page_brings_no_file_again(tab):
    with Site() as site:
        enter(site, tab, "/access")
        tab.open(f"{site.site}/accounts")
        tab.wait("document.querySelector('main h1')")
        entries = "performance.getEntriesByType('resource').filter((e) => e.name.includes('/assets/'))"
        sizes = tab.run(f"Object.fromEntries({entries}.map((e) => [e.name, e.transferSize]))")
        brought = {name.rpartition("/")[2] for name, size in sizes.items() if size > 0}
        assert len(sizes) > 10 and brought <= {"accounts.js"}, sizes


# --- in and out


def test_the_first_administrator_is_made_by_the_link(tab, say):
    with Site() as site:
        tab.port = site.console_port
        tab.open(f"{site.site}/#setup={site.setup_token}")
        tab.see(say("setup.title"))
        assert tab.run("location.href") == site.site + "/" and tab.run("history.length") <= 2
        assert tab.run("document.documentElement.lang") == tab.run("navigator.language")
        tab.fill(say("login.name"), NAME)
        tab.fill(say("login.password"), PASSWORD)
        tab.fill(say("setup.repeat"), "something else")
        tab.click("button", say("setup.do"))
        tab.see(say("setup.differ"))
        tab.fill(say("setup.repeat"), PASSWORD)
        tab.click("button", say("setup.do"))
        tab.see(say("page.overview"), ".page-head h1")
        assert site.setup_token not in "".join(tab.requests)
        # out, and in again by the keyboard alone
        tab.click("button", say("log_out"))
        tab.see(say("login.title"))
        assert tab.run("document.activeElement.labels[0].innerText") == say("login.name")
        tab.type(NAME)
        tab.key("Tab")
        tab.type("wrong password")
        tab.key("Enter")
        tab.see(say("error.wrong"))
        tab.type(PASSWORD)  # what was wrong is selected
        wait_until(lambda: (tab.key("Enter"), tab.text("nav"))[1])
        tab.wait("document.activeElement.tagName === 'H1'")


@ENGLISH
def test_a_link_opened_where_the_console_is_open_already(tab, say):
    """Only the fragment changes then: nothing is loaded."""
    with Site() as site:
        tab.port = site.console_port
        tab.open(site.site)
        tab.see(say("setup.none_title"))
        tab.open(f"{site.site}/#setup={site.setup_token}")
        tab.see(say("setup.title"))
        assert tab.run("location.href") == site.site + "/"


@ENGLISH
def test_a_link_that_was_used(tab, say):
    with Site() as site:
        tab.port = site.console_port
        token = site.setup_token
        answer = Console(site).ask("POST", "/api/v1/setup", {"token": token, "name": NAME, "password": PASSWORD})
        assert answer.status == 200
        tab.open(f"{site.site}/#setup={token}")
        for label in ("login.name", "login.password", "setup.repeat"):
            tab.fill(say(label), PASSWORD)
        tab.click("button", say("setup.do"))
        tab.see(say("error.link")[:40])
        tab.open(site.site)
        tab.see(say("login.title"))


def test_the_language_and_the_theme_are_switched(tab, say, language):
    other = {"en": "ja", "ja": "en"}[language]
    with Site() as site:
        enter(site, tab, "/access")
        tab.see(say("page.access"), "h1")
        tab.choose(say("language"), other)
        tab.see(WORDS[other]["page.access"], "h1")
        assert tab.run("document.documentElement.lang") == other
        tab.open(site.site + "/accounts")  # the cookie keeps it
        tab.see(WORDS[other]["page.accounts"], "h1")
        colour = "getComputedStyle(document.body).backgroundColor"
        light = tab.run(colour)
        tab.choose(WORDS[other]["theme"], "dark")
        dark = tab.run(colour)
        assert dark != light
        tab.open(site.site)
        tab.wait("document.querySelector('main h1')")
        assert tab.run(colour) == dark
        tab.choose(WORDS[other]["theme"], "auto")
        assert tab.run(colour) == light
        tab.open(site.site)
        tab.wait("document.querySelector('main h1')")
        assert tab.run(colour) == light


@pytest.mark.parametrize(
    "cookie,theme",
    [("", None), ("theme=dark", "dark"), ("language=ja; theme=light", "light"), ("theme=", None), ('theme="><b>', None)],
)
def test_the_document_comes_in_the_theme_that_was_chosen(cookie, theme):
    """So the first paint is in its colours, and waits for no script."""
    with Site() as site:
        answer = Console(site).get("/access", fields={"Cookie": cookie})
        assert re.findall(r'<html lang="en"(?: data-theme="(\w+)")?>', answer.text) == [theme or ""]
        assert not re.search(r"<script(?! type=.module)", answer.text), "a script that the first paint waits for"
        again = Console(site).get("/access", fields={"Cookie": cookie, "If-None-Match": answer.fields["etag"]})
        other = Console(site).get("/access", fields={"Cookie": "theme=dark" if theme != "dark" else "", "If-None-Match": answer.fields["etag"]})
        assert (again.status, other.status) == (304, 200)


def test_a_session_that_ends_leads_to_the_entrance(tab, say):
    with Site() as site:
        console = enter(site, tab, "/connections")
        console.ask("DELETE", "/api/v1/session")
        tab.run("document.querySelector('nav a[href=\"/access\"]')?.click()")
        tab.see(say("login.lost"))


# --- overview


@pytest.mark.parametrize("width", [360, 1280])
def test_a_page_without_news_says_so(tab, say, width):
    """Also where the menu that says it otherwise is folded."""
    tab.size(width, 740)
    with Site() as site:
        enter(site, tab, "/connections")
        tab.miss(say("live.lost"))
        tab.fake({"/api/v1/events": None})
        tab.open(f"{site.site}/connections")
        tab.see(say("live.lost"), "header")
        assert tab.run("window.testing.all('.live', t).length", t=say("live.lost")) == 1
        assert tab.run("document.documentElement.scrollWidth <= innerWidth")
        tab.fake({})
        tab.miss(say("live.lost"), "header")


def test_the_overview_shows_what_passes_and_what_failed(tab, say):
    with Site() as site, Target(echo) as target, HttpTarget() as web:
        console = site.administrator()
        client = Client(site).connect(target.authority)
        for url in [web.url(), web.url("/again"), "http://127.0.0.1:1/refused"]:
            site.curl("-o", "/dev/null", url).wait(20)
        wait_until(lambda: "upstream-refused" in console.get("/api/v1/charts?span=hour").text)
        enter(site, tab, console=console)
        tab.wait("document.querySelector('.tile-value').innerText === '1'")
        tab.see("127.0.0.1:9", ".health")  # the resolver of the tests answers nobody
        tab.see("upstream-refused", ".verdicts")
        tab.wait("document.querySelector('.throughput canvas').height > 0")
        tab.wait("document.querySelectorAll('.top tbody tr').length >= 3")
        client.send("x" * 100000).read(100000)
        chart = "globalThis.Chart?.getChart(document.querySelector('.throughput canvas'))"
        tab.wait(f"{chart}?.data.datasets[0].data.some((n) => n > 1000)")
        tab.click(".failures summary")
        tab.see(say("time"), ".failures .chart-numbers")
        tab.click(".verdicts a", "upstream-refused")
        tab.see("127.0.0.1:1", "tbody")
        assert len(rows(tab)) == 1
        client.close()


# --- connections


def test_connections_are_followed_and_ended(tab, say):
    with Site() as site, Target(echo) as target, Target(hold) as web:
        console = enter(site, tab, "/connections")
        tab.see(say("connections.quiet"))
        curl = site.curl("-o", "/dev/null", web.url("/large"))
        tab.see("/large", "tbody")
        clients = [Client(site).connect(target.authority) for _ in range(3)]
        tab.wait("document.querySelectorAll('tbody tr').length === 4")
        clients[0].send("x" * 70000).read(70000)
        tab.see("68.3 KiB", "tbody")
        # sorted by the proxy, the most bytes first
        tab.click("th button", say("column.up"))
        tab.wait("document.querySelector('th[aria-sort]')?.ariaSort === 'ascending'")
        tab.click("th button", say("column.up"))
        tab.wait("document.querySelector('tbody tr').innerText.includes('68.3 KiB')")
        assert tab.run("document.querySelector('th[aria-sort]').ariaSort") == "descending"
        # filtered
        tab.fill(say("column.target"), web.authority)
        tab.wait("document.querySelectorAll('tbody tr').length === 1")
        assert "target=" + web.authority.replace(":", "%3A") in tab.run("location.search")
        # a flow of its own
        tab.click("tbody .link")
        tab.see("GET", "dialog")
        tab.wait("document.querySelector('dialog svg.v-ladder')")
        tab.key("Escape")
        tab.wait("!document.querySelector('dialog')")
        # ended by the keyboard alone
        tab.run("document.querySelector('h1').focus()")
        tab.tab_to(say("connections.end_of", client="", target="").split()[0])
        tab.key("Enter")
        tab.see(say("connections.end_title"), "dialog")
        tab.type("maintenance <now>")
        tab.key("Enter")
        tab.see(say("connections.ended"), "#notices")
        tab.see(say("connections.filtered"))
        tab.wait("document.activeElement.tagName === 'H1'")  # its row is gone, and the table
        assert curl.wait(30) != 0
        flow = wait_until(lambda: console.get("/api/v1/flows").json.get("flows"))[0]
        assert any(f"ended by {NAME}" in text and "maintenance <now>" in text for text in flow["evidence"]), flow
        for client in clients:
            client.close()


@JAPANESE
def test_the_focus_stays_while_rows_come_and_go(tab, say):
    with Site() as site, Target(echo) as target:
        enter(site, tab, "/connections?sort=age&order=asc")
        first = Client(site).connect(target.authority)
        second = Client(site).connect(target.authority)
        tab.wait("document.querySelectorAll('tbody tr').length === 2")
        tab.run("(window.held = document.querySelectorAll('tbody tr')[1].querySelector('.action button')).focus()")
        others = [Client(site).connect(target.authority) for _ in range(3)]  # younger: above it
        tab.wait("document.querySelectorAll('tbody tr').length === 5")
        assert tab.run("document.activeElement === window.held && window.held.isConnected")
        first.close()
        tab.wait("document.querySelectorAll('tbody tr').length === 4 || !window.held.isConnected")
        tab.wait("document.activeElement.closest('tbody')")
        for client in [second, *others]:
            client.close()


def test_rows_are_cut_into_pages_by_the_proxy(browser):
    tab = browser.tab("en")
    with Site() as site, Target(echo) as target:
        enter(site, tab, "/connections?limit=25")
        clients = [Client(site).connect(target.authority) for _ in range(30)]
        tab.see("1–25 of 30")
        tab.click(".pager button", "Next")
        tab.see("26–30 of 30")
        assert len(rows(tab)) == 5 and "offset=25" in tab.run("location.search")
        for client in clients[:10]:
            client.close()
        tab.see("1–20 of 20")  # that page is no more
        for client in clients:
            client.close()
        tab.is_clean(site.console_port)
    tab.close()


# --- hostile names


BAD = '<script>alert(1)</script><img src=x onerror="alert(2)">\u202e\u0007&amp;{target}${1}'


def test_hostile_names_are_shown_and_do_nothing(tab, say):
    with Site() as site, Target(hold) as web:
        console = site.administrator()
        path = "/" + BAD.replace(" ", "%20").replace("\u0007", "%07")
        client = Client(site)
        client.send(f"GET {web.url()}".encode() + path.encode() + b" HTTP/1.1\r\nHost: a\r\n\r\n")
        odd = Client(site)
        odd.send(b"CONNECT <script>alert(1)</script>.test:443 HTTP/1.1\r\nHost: a\r\n\r\n")
        odd.response("CONNECT")
        enter(site, tab, "/connections", console)
        tab.see("<script>alert(1)</script>", "tbody")
        tab.see("U+202E", "tbody")  # said, and not obeyed
        tab.click("tbody .link")
        tab.see("<script>", "dialog .flow-target")
        tab.click("dialog .actions .danger")
        tab.click("dialog button[type=submit]")
        tab.see(say("connections.quiet"))
        tab.open(site.site + "/history")
        tab.see("bad-request", "tbody")
        tab.see("<script>", "tbody")
        tab.open(site.site + "/diagnose?url=" + "%3Cscript%3Ealert(1)%3C/script%3E")
        tab.click("form button.primary")
        tab.wait("document.querySelector('.run-state') || document.querySelector('.trouble:not([hidden])')")
        client.close()
        odd.close()


HOSTILE_FLOW = {
    "id": "0123456789abcdef", "source": "serve", "start": BAD, "duration_us": 1, "client": BAD, "proxy": BAD,
    "target": BAD * 80, "target_address": BAD, "parent": BAD, "method": BAD, "url": None, "user": BAD, "rule": BAD,
    "reported": [BAD], "status": 200, "bytes_up": 0, "bytes_down": 0,
    "phases": [{"phase": "connect", "start_us": 0, "duration_us": 1, "outcome": "failed", "detail": BAD}],
    "tls": {"sni": BAD, "version": BAD, "cipher": BAD, "issuer": BAD, "alpn": BAD},
    "tcp": {"client": None, "upstream": None}, "redirects": [{"status": 302, "location": BAD}],
    "superseded_by": None, "verdict": "stalled", "ended_in": "transfer", "ended_by": "client", "certainty": "seen",
    "cause": BAD, "advice": BAD, "evidence": [BAD, "at 1 us " + BAD], "warnings": [],
}  # fmt: skip


@ENGLISH
def test_a_hostile_answer_of_every_kind_is_only_text(tab, say):
    """What no proxy would let through stands in the answers here."""
    answers = {
        "/api/v1/flows/0123456789abcdef": {"flow": HOSTILE_FLOW, "cause": BAD, "advice": BAD},
        "/api/v1/flows": {"flows": [HOSTILE_FLOW], "next": None},
        "/api/v1/connections": {
            "rows": [{"idle_us": 1, "phase": BAD, "flow": HOSTILE_FLOW}], "matching": 1, "open": 1, "whole": True,
        },
        "/api/v1/events": None,
        "/api/v1/top": {"rows": [{"name": BAD, "flows": 1, "failed": 1, "bytes_up": 1, "bytes_down": 1}]},
        "/api/v1/charts": {
            "step_s": 60, "from_us": 0, "series": [{"verdict": BAD, "counts": [1, 2]}], "bytes_up": [], "bytes_down": [],
        },
        "/api/v1/access": {
            "rules": [
                {"name": BAD, "action": "deny", "report": True, "built_in": False, "text": BAD, "file": BAD, "line": 1,
                 "hits": 1, "denied": 1, "reports": 1, "last_us": 1},
            ],
            "default": "deny",
        },
        "/api/v1/accounts": {
            "accounts": [{"name": BAD, "realm": BAD, "algorithms": ["md5"], "disabled": False}],
            "file": BAD, "writable": True, "why_not": None,
        },
        "/api/v1/configuration": {
            "text": BAD, "base": "", "effective": BAD + "  # " + BAD, "file": BAD, "writable": False, "why_not": BAD,
            "versions": [{"id": BAD, "time_us": 1, "who": BAD}],
        },
        "/api/v1/upstream": {
            "enabled": True, "host": BAD, "port": 1, "authentication": True, "user": BAD, "has_password": True,
            "tls": False, "no_proxy": [BAD], "smart_licensing": False, "file": BAD, "writable": False, "why_not": BAD,
        },
        "/api/v1/audit": {"entries": [{"time": BAD, "who": BAD, "what": BAD}]},
        "/readyz": "accepting\nresolver: " + BAD + "\nparent: none\n",
    }  # fmt: skip
    with Site() as site:
        enter(site, tab)
        tab.fake(answers)
        paths = ["/", "/connections", "/history?flow=0123456789abcdef", "/settings", "/access", "/accounts"]
        for path in paths + [f"/configuration?tab={name}" for name in ("effective", "edit", "versions", "changes")]:
            tab.open(site.site + path)
            field = "[...document.querySelectorAll('input, textarea')].some((e) => e.value.includes('alert(1)'))"
            tab.wait(f"document.querySelector('main')?.innerText.includes('alert(1)') || {field}")
            tab.wait("document.readyState === 'complete'")
            assert tab.run("document.querySelectorAll('main script, main img, dialog script, dialog img').length") == 0
        tab.open(site.site + "/connections")
        tab.see("U+202E", "tbody")  # said, and not obeyed
        tab.fake({})


@ENGLISH
def test_rows_of_a_late_worker_stay(tab, say):
    """They would come and go, and the place on the page with them."""
    row = {"idle_us": 1, "phase": "transfer", "flow": HOSTILE_FLOW}
    late = {"rows": [], "matching": 0, "open": 0, "whole": False}
    with Site() as site:
        enter(site, tab)
        tab.fake({
            "/api/v1/connections": {"rows": [row], "matching": 1, "open": 1, "whole": True},
            "/api/v1/events": f"event: connections\ndata: {json.dumps(late)}\n\n",
        })  # fmt: skip
        tab.open(site.site + "/connections")
        tab.see(say("connections.partial"))
        tab.wait("document.querySelectorAll('tbody tr').length === 1 && !document.querySelector('table').hidden")
        tab.fake({})


@ENGLISH
def test_what_ends_a_connection_names_its_target(tab, say):
    """Also where the request was not there yet when its row was made."""

    def page(target):
        flow = {**HOSTILE_FLOW, "url": None, "target": target}
        return {"rows": [{"idle_us": 1, "phase": "request", "flow": flow}], "matching": 1, "open": 1, "whole": True}

    with Site() as site:
        enter(site, tab)
        tab.fake({"/api/v1/connections": page(None), "/api/v1/events": None})
        tab.open(site.site + "/connections")
        tab.wait("document.querySelectorAll('tbody tr').length === 1")
        late = f"event: connections\ndata: {json.dumps(page('late.example:443'))}\n\n"
        tab.fake({"/api/v1/connections": page(None), "/api/v1/events": late})
        tab.see("late.example", "tbody")
        assert "late.example:443" in tab.run("document.querySelector('td.action button').ariaLabel")
        tab.click("td.action button")
        tab.see("late.example:443", "dialog")
        tab.fake({})


# --- history


def test_history_is_filtered_and_a_flow_opens(tab, say):
    with Site() as site, HttpTarget() as web:
        console = site.administrator()
        for path in ("/one", "/two", "/three"):
            site.curl("-o", "/dev/null", web.url(path)).wait(20)
        site.curl("-o", "/dev/null", "http://127.0.0.1:1/refused").wait(20)
        wait_until(lambda: len(console.get("/api/v1/flows").json.get("flows", [])) == 4)
        enter(site, tab, "/history", console)
        tab.wait("document.querySelectorAll('tbody tr').length === 4")
        tab.fill(say("column.text"), "two")
        tab.wait("document.querySelectorAll('tbody tr').length === 1")
        tab.fill(say("column.text"), "")
        tab.click("label", say("history.failed"))
        tab.see("upstream-refused", "tbody")
        tab.wait("document.querySelectorAll('tbody tr').length === 1")
        tab.click("tbody .link")
        cause = "The target's machine is up, but refused the connection." if say("close") == "Close" else "接続"
        tab.see(cause, "dialog .cause")
        tab.see(say("flow.evidence"), "dialog")
        assert tab.run("document.querySelectorAll('dialog svg.v-ladder rect.v-failed').length") == 1
        tab.click("dialog summary", "JSON")
        tab.see('"verdict": "upstream-refused"', "dialog pre")
        flow_id = tab.run("new URLSearchParams(location.search).get('flow')")
        # check this target now
        tab.click("dialog a", say("flow.check"))
        tab.see(say("page.diagnose"), "h1")
        tab.see("upstream-refused", ".run-flows")
        # a flow by its address
        tab.open(f"{site.site}/history?flow={flow_id}")
        tab.see(flow_id, "dialog")
        # by verdict
        tab.open(f"{site.site}/history?verdict=ok")
        tab.wait("document.querySelectorAll('tbody tr').length >= 3")
        tab.click(".choice summary")
        tab.click(".choice .tick", "acl-denied")
        tab.see(say("history.verdicts", n=2), ".choice summary")
        assert "verdict=ok%2Cacl-denied" in tab.run("location.search")
        tab.key("Escape")
        assert tab.run("document.querySelector('.choice').open") is False


@ENGLISH
def test_no_figure_outlives_what_it_was_told_of(tab, say):
    tile = "[...document.querySelectorAll('.tile')].find((t) => t.innerText.includes(n)).innerText"
    with Site() as site:
        console = site.administrator()
        site.curl("-o", "/dev/null", "http://127.0.0.1:1/refused").wait(20)
        wait_until(lambda: console.get("/api/v1/flows").json["flows"])
        enter(site, tab, "/", console)
        tab.wait(f"{tile}.includes('100 %')", n=say("tile.failed"))
        tab.fake({"/api/v1/charts": None})
        tab.see(say("error.network"), ".failures")
        assert "%" not in tab.run(tile, n=say("tile.failed"))
        tab.fake({})


@ENGLISH
def test_the_clock_may_step(tab, say):
    """What a proxy took for the time when it started says nothing of how long it runs."""
    with Site() as site:
        state = enter(site, tab).get("/api/v1/state").json
        state["start_us"], state["uptime_us"] = state["now_us"] + 3600 * 10**6, 90 * 10**6
        later = {**state, "now_us": state["now_us"] - 7200 * 10**6, "uptime_us": 92 * 10**6, "bytes_down": 4096}
        events = "".join(f"event: state\ndata: {json.dumps(one)}\n\n" for one in (state, later))
        tab.fake({"/api/v1/events": events})
        tab.open(site.site)
        tab.see("01:32", ".facts")
        tab.see("2.0 KiB/s", ".tiles")
        tab.fake({})


@ENGLISH
def test_no_history(tab, say):
    with Site(log="history off;") as site:
        enter(site, tab, "/history")
        tab.see(say("history.off"))
        tab.open(site.site)
        tab.see(say("history.off"))
        tab.see(say("health.accepting"))


# --- diagnose


def test_a_check_is_drawn_while_it_happens(tab, say):
    go_on = threading.Event()

    def slow(connection):
        connection.head()
        go_on.wait(20)
        connection.send(reply(b"hello"))

    with Site() as site, Target(slow) as web:
        enter(site, tab, "/diagnose")
        tab.fill("URL", web.url("/slow"))
        tab.click("form button.primary")
        last = "[...document.querySelectorAll('.v-name')].at(-1)?.textContent"
        tab.wait(f"document.querySelector('rect.v-open') && {last} === 'answer'")  # it waits for that
        go_on.set()
        tab.see(say("diagnose.verdict", verdict="ok"))
        assert tab.run(last) == "close"
        assert tab.run("document.querySelectorAll('rect.v-failed, rect.v-open').length") == 0


@ENGLISH
def test_a_check_with_a_wrong_password_and_one_that_is_stopped(tab, say):
    access = "deny private off; deny ports off; allow all { authenticated; }"
    extra = "authentication { accounts accounts.conf; }"
    with Site(access=access, extra=extra) as site, Target(lambda c: c.hold()) as silent:
        enter(site, tab, "/diagnose")
        tab.fill("URL", "http://127.0.0.1:1/")
        tab.click(".more summary")
        tab.fill(say("check.user"), "fmc")
        tab.fill(say("check.password"), "canary-3")
        tab.click("form button.primary")
        tab.see(say("diagnose.verdict", verdict="auth-failed"))
        assert "canary-3" not in tab.run("document.documentElement.outerHTML")
        tab.choose(say("check.proxy"), "other")
        tab.fill(say("check.other_url"), f"http://{silent.authority}")
        tab.click("form button.primary")
        tab.click("button", say("stop"))
        tab.see(say("diagnose.stopped"))


def test_a_capture_is_explained(tab, say, tmp_path):
    capture, text, nonsense = tmp_path / "all.pcap", tmp_path / "one.txt", tmp_path / "nonsense.pcap"
    capture.write_bytes(pcap(healthy(1), denied(2), black_hole(3)))
    text.write_text("GET nothing of a capture")
    nonsense.write_bytes(capture.read_bytes()[:40] + os.urandom(2000))
    with Site() as site:
        enter(site, tab, "/diagnose")
        tab.give_file("#capture", capture)
        tab.see(say("diagnose.sum", n=3, failed=2))
        # the worst first, and open
        assert tab.run("[...document.querySelectorAll('details.folded')].map((d) => d.open)") == [True, True, False]
        tab.see("mtu-blackhole", ".run-flows")
        assert tab.run("document.querySelectorAll('.run-flows svg.v-ladder').length") == 2
        # what a capture cannot know is not told as nothing; what explain advises is no trouble
        tab.see(say("flow.leg_near"), ".run-flows .facts")
        assert "PMTU" not in tab.text(".run-flows") and say("flow.leg_client") not in tab.text(".run-flows")
        assert not tab.run("document.querySelector('.run .trouble:not(.calm)')")
        tab.click(".folded summary", "updates.example.net")
        tab.wait("document.querySelectorAll('.run-flows svg.v-ladder').length === 3")
        # dropped
        drop = (
            "((z) => { const d = new DataTransfer(); d.items.add(new File([new TextEncoder().encode(t)], 'x.txt'));"
            " z.dispatchEvent(new DragEvent('drop', {dataTransfer: d, bubbles: true, cancelable: true})); })"
            "(document.querySelector('.drop'))"
        )
        tab.run(drop, t=text.read_text())
        tab.wait("document.querySelector('.run .trouble, .run .empty')")
        # what is none does no harm
        tab.give_file("#capture", nonsense)
        tab.wait("!document.querySelector('.spinner')")
        assert get(site, "http://127.0.0.1:1/").status == 502
        assert not list(site.folder.glob("*.pcap"))
        # the same name once more, after what it had was too much
        os.truncate(nonsense, (64 << 20) + 1)
        tab.give_file("#capture", nonsense)
        tab.see(say("explain.too_large", n="64.0 MiB"))
        nonsense.write_bytes(capture.read_bytes())
        tab.give_file("#capture", nonsense)
        tab.see(say("diagnose.sum", n=3, failed=2))


# --- proxy settings


def field_fault(tab, label):
    return tab.run("window.testing.all('label', l)[0].closest('.field').querySelector('.fault').innerText", l=label)


@ENGLISH
def test_settings_are_judged_as_they_are_typed(tab, say):
    with Site(extra="upstream upstream.conf;", files={"upstream.conf": UPSTREAM}) as site:
        site.give("upstream.conf")
        enter(site, tab, "/settings")
        host = say("settings.host")
        name = "a" * 52 + ".proxy.example"
        assert len(name) == 66
        tab.fill(host, name[1:])
        tab.click("label", say("settings.smart_licensing"))
        tab.see("64", ".faulty .fault")
        assert "SMART_LICENSING" in field_fault(tab, host) and tab.run(
            "window.testing.all('label', l)[0].control.ariaInvalid", l=host
        ) == "true"
        tab.click("button", say("settings.save"))  # refused, and led to the field
        tab.wait("document.activeElement.getAttribute('aria-invalid') === 'true'")
        assert (site.folder / "upstream.conf").read_text() == UPSTREAM
        tab.fill(host, name[2:])
        tab.wait("!document.querySelector('.faulty')")
        for label, text, word in [("port", "70000", "65535"), ("host", "a_b.test", "hyphen")]:
            tab.fill(say(f"settings.{label}"), text)
            tab.see(word, ".faulty .fault")
            tab.fill(say(f"settings.{label}"), "8080" if label == "port" else "proxy.example")
            tab.wait("!document.querySelector('.faulty')")


def test_settings_are_proven_before_they_are_saved(tab, say):
    with Squid("basic", rules="acl all_ports port 1-65535") as squid, HttpTarget() as web:
        with Site(extra="upstream upstream.conf;", files={"upstream.conf": UPSTREAM}) as site:
            site.give("upstream.conf")
            enter(site, tab, "/settings")
            tab.click("label", say("settings.enabled"))
            tab.fill(say("settings.host"), "127.0.0.1")
            tab.fill(say("settings.port"), str(squid.port))
            tab.click("label", say("settings.authentication"))
            tab.fill(say("settings.user"), "fmc")
            tab.fill(say("settings.password"), "wrong")
            tab.fill(say("settings.url"), web.url())
            tab.click("button", say("settings.save"))
            tab.see(say("settings.failed"), seconds=30)
            tab.see("auth-failed", ".outcome")
            assert tab.run("document.querySelectorAll('.outcome rect.v-failed').length") == 1
            assert (site.folder / "upstream.conf").read_text() == UPSTREAM
            tab.click("button", say("settings.keep"))
            tab.fill(say("settings.password"), "s3cret!")
            before = len(squid.lines())
            tab.click("button", say("settings.save"))
            tab.see(say("settings.saved"), ".outcome", seconds=40)
            assert site.curl("-o", "/dev/null", web.url()).wait(20) == 0
            assert any(web.authority in line for line in squid.lines()[before:])
            text = (site.folder / "upstream.conf").read_text()
            assert "s3cret!" in text and "s3cret!" not in tab.run("document.documentElement.outerHTML")
            assert tab.run("window.testing.all('label', l)[0].control.value", l=say("settings.password")) == ""


@ENGLISH
def test_settings_are_saved_anyway_when_one_says_so(tab, say):
    with Site(extra="upstream upstream.conf;", files={"upstream.conf": UPSTREAM}) as site:
        site.give("upstream.conf")
        enter(site, tab, "/settings")
        tab.click("label", say("settings.enabled"))
        tab.fill(say("settings.host"), "127.0.0.1")
        tab.fill(say("settings.port"), "1")
        tab.click("button", say("settings.save"))
        tab.see("proxy-refused", ".outcome", seconds=30)
        tab.click("button", say("settings.anyway"))
        tab.see(say("settings.saved"), ".outcome", seconds=30)
        assert "PROXY_PORT 1;" in (site.folder / "upstream.conf").read_text()
        assert get(site, "http://a.test/").status == 502


@ENGLISH
def test_what_was_saved_is_no_change_any_more(tab, say):
    """Also where the proxy writes it otherwise than it was typed, or leaves out what no longer counts."""
    stored = UPSTREAM.replace("}", '    PROXY_USER fmc;\n    PROXY_PASSWORD "s3cret!";\n}')
    with Site(extra="upstream upstream.conf;", files={"upstream.conf": stored}) as site:
        site.give("upstream.conf")
        enter(site, tab, "/settings")
        tab.accept_dialogs = False
        tab.click("label", say("settings.authentication"))
        tab.fill(say("settings.host"), "[2001:DB8::1]")
        tab.click("button", say("settings.save"))
        tab.see(say("settings.saved"), ".outcome")
        assert "fmc" not in (site.folder / "upstream.conf").read_text()
        tab.click("nav a", say("page.access"))
        tab.see(say("page.access"), "h1")


@JAPANESE
def test_settings_that_cannot_be_written_are_read_only(tab, say):
    with Site(extra="upstream upstream.conf;", files={"upstream.conf": UPSTREAM}) as site:
        enter(site, tab, "/settings")  # the file is root's
        tab.see(say("settings.read_only"))
        assert tab.run("document.querySelector('fieldset').disabled")
        tab.wait("window.testing.all('label', l)[0].control.value === '192.0.2.1'", l=say("settings.host"))


# --- access, accounts, configuration


RULES = (
    "deny private off; deny ports off; deny report trial { to 127.0.0.1; } "
    "deny social { to social.example; } allow all { from loopback; }"
)


def test_rules_and_the_test_box(tab, say):
    with Site(access=RULES) as site, HttpTarget() as web:
        site.curl("-o", "/dev/null", web.url()).wait(20)
        site.curl("-o", "/dev/null", "http://social.example/").wait(20)
        enter(site, tab, "/access")
        row = "[...document.querySelectorAll('tbody tr')].find((r) => r.innerText.includes(n))"
        row = f"[...{row}.cells].map((c) => c.innerText)"
        tab.wait("document.querySelectorAll('tbody tr').length === 3")
        social = tab.run(row, n="to social.example;")
        assert social[1] == "deny" and social[4:6] == ["1", "1"]  # hits, denied
        trial = tab.run(row, n="trial")
        assert say("access.report") in trial[1] and trial[6] == "1"
        tab.fill(say("access.target"), "https://social.example/")
        tab.click("button", say("access.ask"))
        tab.see(say("decision.denied"), ".decision")
        tab.see("social", ".test-result pre")
        tab.fill(say("access.user"), "u" * 3000)  # what was said of another question goes
        tab.click("button", say("access.ask"))
        tab.wait("document.querySelector('.faulty') && !document.querySelector('.test-result pre')")
        site.curl("-o", "/dev/null", "http://social.example/").wait(20)
        tab.wait(f"{row}[4] === '2'", n="to social.example;")  # in place


def test_accounts_are_added_disabled_reset_and_removed(tab, say):
    access = "deny private off; deny ports off; allow all { authenticated; }"
    with Site(access=access, extra="authentication { accounts accounts.conf; }") as site, HttpTarget() as web:

        def becomes(password, wanted):
            """Asks seldom: the proxy slows down who comes with ten wrong passwords a minute."""
            for _ in range(5):
                if get(site, web.url(), basic("fmc", password)).status == wanted:
                    return
                time.sleep(1)
            raise AssertionError(f"{password} does not become {wanted}")

        def confirm(action):
            tab.click("dialog button[type=submit]", action)

        enter(site, tab, "/accounts")
        tab.see(say("accounts.none"))
        tab.click(".head-tools button", say("accounts.add"))
        tab.see(say("accounts.add_title"), "dialog")
        tab.type("fmc")
        tab.key("Tab")
        tab.type("one")
        tab.key("Tab")
        tab.type("one")
        tab.key("Enter")
        tab.see("fmc", "tbody")
        becomes("one", 200)
        tab.click("tbody button", say("accounts.disable"))
        tab.see(say("accounts.disabled"), "tbody")
        becomes("one", 407)
        tab.click("tbody button", say("accounts.enable_of", name="fmc"))
        becomes("one", 200)
        tab.click("tbody button", say("accounts.reset"))
        for _ in range(2):
            tab.type("two")
            tab.key("Tab")
        confirm(say("accounts.reset"))
        tab.see(say("accounts.was_reset"), "#notices")
        becomes("two", 200)
        tab.click("tbody button", say("accounts.remove"))
        confirm(say("accounts.remove"))
        tab.see(say("accounts.none"))
        # a link for another administrator
        tab.click("button", say("admins.link"))
        tab.wait("/#setup=[0-9a-f]{64}$/.test(document.querySelector('dialog input')?.value)")


@ENGLISH
def test_what_is_under_way_is_told_though_its_window_was_closed(tab, say):
    with Site(extra="authentication { accounts accounts.conf; }") as site:
        console = site.administrator()
        console.ask("POST", "/api/v1/accounts", {"name": "fmc", "password": "one"})
        enter(site, tab, "/accounts", console)
        tab.click("tbody button", say("accounts.remove"))
        os.kill(site.pid, signal.SIGSTOP)
        try:
            tab.click("dialog button[type=submit]", say("accounts.remove"))
            tab.wait("document.querySelector('dialog button[type=submit]').disabled")
            tab.key("Escape")
            tab.wait("!document.querySelector('dialog')")
        finally:
            os.kill(site.pid, signal.SIGCONT)
        tab.see(say("accounts.removed"), "#notices")
        tab.see(say("accounts.none"))
        # and a session that ends under it leads to the entrance alone, by whoever asks first: the events, or the click
        console.ask("POST", "/api/v1/accounts", {"name": "fmc", "password": "one"})
        tab.click("nav a", say("page.access"))
        tab.click("nav a", say("page.accounts"))
        tab.wait("document.querySelectorAll('tbody tr').length === 1")
        out = "await fetch('/api/v1/session', {method: 'DELETE', headers: {'X-CSRF-Token': t}});"
        tab.run(f"(async () => {{ {out} document.querySelector('tbody button')?.click(); }})()", t=console.csrf)
        tab.see(say("login.lost"))


@ENGLISH
def test_without_authentication_there_are_no_accounts(tab, say):
    with Site() as site:
        enter(site, tab, "/accounts")
        tab.see(say("accounts.off"))
        tab.see(say("admins.title"))


def test_the_configuration_is_edited_and_put_in_force(tab, say):
    with Site(access=RULES) as site, Target(echo) as target:
        site.give("viaduct.conf")
        client = Client(site).connect(target.authority)
        before = site.config.read_text()
        enter(site, tab, "/configuration")
        tab.see("connections-per-client 1000;", ".effective")
        tab.see("viaduct.conf:", ".effective")
        tab.click("[role=tab]", say("tab.edit"))
        tab.wait("document.querySelector('textarea').value === t", t=before)
        put = "((a) => { a.value = t; a.dispatchEvent(new Event('input')); })(document.querySelector('textarea'))"
        tab.run(put, t=before + "limitz { }\n")
        line = before.count("\n") + 1
        tab.see("limits", ".problems")  # the nearest known name
        assert tab.text(".numbers .bad") == str(line) and tab.run("document.querySelector('.actions .primary').disabled")
        tab.click(".problems button", say("configuration.line", line=line, column=1))
        assert tab.run("document.activeElement.selectionStart") == len(before)
        # what the new rules would deny
        tab.run(put, t=before.replace("allow all {", "deny all {"))
        tab.see(say("configuration.denied.one"), ".judged")
        tab.see(target.authority, ".denied")
        tab.see("-", ".diff .less")
        tab.click(".actions button", say("configuration.apply"))
        tab.click("dialog button[type=submit]", say("configuration.apply"))
        tab.see(say("configuration.applied"), "#notices")
        assert "deny all {" in site.config.read_text()
        wait_until(lambda: get(site, "http://a.test/").status == 403)
        assert client.send("ping").read(4) == b"ping"
        # and back
        tab.click("[role=tab]", say("tab.versions"))
        tab.click(".versions button", say("configuration.return"))
        tab.wait("document.querySelector('textarea')?.value === t", t=before)
        tab.click(".actions button", say("configuration.apply"))
        tab.click("dialog button[type=submit]", say("configuration.apply"))
        tab.wait("!document.querySelector('dialog')")
        assert site.config.read_text() == before
        tab.click("[role=tab]", say("tab.changes"))
        tab.see(f"{NAME} from 127.0.0.1", ".audit")
        times = tab.run("[...document.querySelectorAll('.audit time')].map((t) => t.dateTime)")
        assert len(times) > 2 and times == sorted(times, reverse=True)
        client.close()


@ENGLISH
def test_what_is_applied_was_judged(tab, say):
    """What one types while the difference is shown is not put in force with the difference of before."""
    change = "((a) => { a.value += t; a.dispatchEvent(new Event('input')); })(document.querySelector('textarea'))"
    ready = "!document.querySelector('.actions .primary').disabled"
    with Site() as site:
        site.config.write_bytes(site.config.read_bytes().replace(b"\n", b"\r\n"))
        site.give("viaduct.conf")
        enter(site, tab, "/configuration?tab=edit")
        tab.wait("document.querySelector('textarea')?.value.length > 10")
        tab.accept_dialogs = False
        tab.click("nav a", say("page.access"))  # lines that end with CR and LF are no change
        tab.see(say("page.access"), "h1")
        tab.click("nav a", say("page.configuration"))
        tab.click("[role=tab]", say("tab.edit"))
        tab.wait("document.querySelector('textarea')?.value.length > 10")
        tab.run(change, t="# one\n")
        tab.wait(ready)
        assert not tab.run(f"({change}, {ready})", t="# two\n")
        tab.wait(ready)
        tab.see("# two", ".diff")
        assert tab.run("document.querySelectorAll('.diff .more, .diff .less').length") == 2
        tab.click(".actions button", say("configuration.undo"))
        tab.wait("!document.querySelector('.diff')")


def test_what_needs_a_restart_is_not_called_in_force(tab, say):
    change = "((a) => { a.value = a.value.replace('workers 2', 'workers 3'); a.dispatchEvent(new Event('input')); })"
    with Site() as site:
        site.give("viaduct.conf")
        enter(site, tab, "/configuration?tab=edit")
        tab.wait("document.querySelector('textarea')?.value.length > 10")
        tab.run(f"{change}(document.querySelector('textarea'))")
        tab.see(say("configuration.restart", names="workers"), ".judged")
        tab.click(".actions button", say("configuration.apply"))
        tab.see(say("configuration.restart", names="workers"), "dialog")
        tab.click("dialog button[type=submit]", say("configuration.apply"))
        tab.see(say("configuration.applied_later", names="workers"), "#notices")
        tab.click("[role=tab]", say("tab.effective"))
        tab.see(say("configuration.restart", names="workers"), "[role=tabpanel]")


@ENGLISH
def test_somebody_else_s_change_is_not_lost(tab, say):
    with Site() as site:
        site.give("viaduct.conf")
        enter(site, tab, "/configuration?tab=edit")
        tab.wait("document.querySelector('textarea')?.value.length > 10")
        text = site.config.read_text()
        site.config.write_text(text + "# theirs\n")
        add = "((a) => { a.value += '# mine\\n'; a.dispatchEvent(new Event('input')); })"
        tab.run(f"{add}(document.querySelector('textarea'))")
        tab.click(".actions button", say("configuration.apply"))
        tab.click("dialog button[type=submit]", say("configuration.apply"))
        tab.see(say("error.changed")[:20], "dialog")
        assert "# mine" not in site.config.read_text()
        # one is asked before what was typed is lost
        tab.key("Escape")
        tab.accept_dialogs = False
        tab.click("nav a", say("page.access"))
        wait_until(lambda: (tab.run("1"), tab.dialogs)[1])
        assert tab.dialogs == [say("unsaved")] and tab.run("location.pathname") == "/configuration"
        tab.dialogs.clear()
        tab.click(".actions button", say("configuration.undo"))


@ENGLISH
def test_one_is_asked_before_what_was_typed_is_lost(tab, say):
    put = "((a) => { a.value = t; a.dispatchEvent(new Event('input')); })(document.querySelector('textarea'))"
    typed = "document.querySelector('textarea').value === '# mine'"
    with Site() as site:
        site.give("viaduct.conf")
        enter(site, tab, "/access")
        tab.click("nav a", say("page.configuration"))
        tab.click("[role=tab]", say("tab.edit"))
        tab.wait("document.querySelector('textarea')?.value.length > 10")
        tab.run(put, t="# mine")
        tab.accept_dialogs = False
        address = tab.run("location.href")
        tab.run("history.back()")
        wait_until(lambda: (tab.run("1"), tab.dialogs)[1])
        tab.wait("location.href === a", a=address)
        assert tab.run(typed)
        tab.choose(say("language"), "ja")
        wait_until(lambda: (tab.run("1"), tab.dialogs[1:])[1])
        assert tab.run(typed) and tab.run("document.documentElement.lang") == "en"
        assert tab.run("document.querySelector(s).value", s=f"select[aria-label={say('language')}]") == "en"
        tab.accept_dialogs = True
        tab.run("history.back()")
        tab.see(say("page.access"), "h1")
        assert tab.dialogs == [say("unsaved")] * 3
        tab.dialogs.clear()


@ENGLISH
def test_a_window_goes_with_the_page_that_opened_it(tab, say):
    with Site() as site:
        console = site.administrator()
        site.curl("-o", "/dev/null", "http://127.0.0.1:1/refused").wait(20)
        wait_until(lambda: console.get("/api/v1/flows").json["flows"])
        enter(site, tab, "/access", console)
        tab.click("nav a", say("page.history"))
        tab.click("tbody .link")
        tab.see("upstream-refused", "dialog")
        tab.run("history.back()")
        tab.see(say("page.access"), "h1")
        tab.wait("!document.querySelector('dialog')")
        assert tab.run("location.pathname + location.search") == "/access"


@ENGLISH
def test_files_that_cannot_be_read_are_not_shown_as_empty(tab, say):
    with Site(extra="authentication { accounts accounts.conf; }") as site:
        console = site.administrator()
        console.ask("POST", "/api/v1/accounts", {"name": "fmc", "password": "one"})
        for name in ("accounts.conf", "viaduct.conf"):
            os.chown(site.folder / name, 0, 0)
            (site.folder / name).chmod(0o600)
        enter(site, tab, "/accounts", console)
        tab.see("accounts.conf: Permission denied", ".trouble")
        assert say("accounts.none") not in tab.text()
        tab.open(f"{site.site}/configuration?tab=edit")
        tab.see("viaduct.conf: Permission denied", ".note")
        assert not tab.run("document.querySelector('textarea')")
        tab.click("[role=tab]", say("tab.effective"))
        tab.see("workers", ".effective")
