"""Ten thousand live connections on the page of connections: counted, sorted, filtered and turned over by the proxy, and
brought up to date while somebody scrolls.  The machine's limit of descriptors may allow fewer; that is said aloud."""

import warnings

import pytest

from admin import Site
from crowd import Crowd, Holder, room

WANTED = 10_000
LEAST = 2_000
FEW = 3
HOSTS = [("127.0.0.1", f"{name}.example") for name in ("crowd", "few")]
LIMITS = "connections 20000; connections-per-client 20000; idle-timeout 1h;"
ROWS = "[...document.querySelectorAll('tbody tr')]"

# Counts the page's updates: each second the row's age is another one.
COUNT_UPDATES = """
(() => {
  window.updates = 0;
  let last = '';
  new MutationObserver(() => {
    const now = document.querySelector('tbody tr').innerText;
    if (now !== last) window.updates += 1;
    last = now;
  }).observe(document.querySelector('tbody'), {subtree: true, childList: true, characterData: true});
})()
"""


@pytest.fixture(scope="module")
def world():
    n = min(WANTED, room())
    if n < LEAST:
        pytest.skip(f"the limit of descriptors allows {n} tunnels: raise it (ulimit -Hn)")
    if n < WANTED:
        warnings.warn(f"the limit of descriptors allows {n} tunnels in place of {WANTED}: raise it (ulimit -Hn)", stacklevel=1)
    holder, crowds = Holder(), []
    with Site(limits=LIMITS, hosts=HOSTS) as site:
        try:
            crowds.append(Crowd(site, f"crowd.example:{holder.port}", n - FEW))
            crowds.append(Crowd(site, f"few.example:{holder.port}", FEW))
            site.n, site.few, site.console = n, crowds[1].socks, site.administrator()
            yield site
        finally:
            for crowd in crowds:
                crowd.close()
    holder.close()


@pytest.fixture
def tab(browser, world):
    tab = browser.tab("en")
    world.enter(tab, world.console, "/connections?limit=100")
    tab.wait(f"{ROWS}.length === 100")
    yield tab
    tab.is_clean(world.console_port)
    tab.close()


def test_all_are_counted_and_turned_over(tab, world):
    n = f"{world.n:,}"
    tab.see(f"1–100 of {n} that match · {n} open")
    tab.click(".pager button", "Next")
    tab.see(f"101–200 of {n}")
    last = (world.n - 1) // 100 * 100
    tab.open(f"{world.site}/connections?limit=100&offset={last}")
    tab.wait(f"{ROWS}.length === k", k=world.n - last)
    tab.see(f"{last + 1}–{world.n} of {n}", ".pager .count")
    assert tab.run("[...document.querySelectorAll('.pager button')].map((b) => b.disabled)") == [False, True]


def test_rows_are_brought_up_to_date_while_one_scrolls(tab):
    tab.run(COUNT_UPDATES)
    first = tab.run(f"{ROWS}[0].querySelector('button').title")
    tab.wait("updates >= 2")
    tab.run("scrollTo(0, document.body.scrollHeight)")
    place = tab.run("scrollY")
    assert place > 500, "the page of 100 rows is not longer than the screen"
    seen = tab.run("updates")
    tab.wait("updates >= k", k=seen + 2)
    assert tab.run("scrollY") == place, "an update moved the page under its reader"
    assert tab.run(f"{ROWS}.length") == 100
    assert tab.run(f"{ROWS}[0].querySelector('button').title") == first
    for y in (0, 300, 900, 0):
        tab.run("scrollTo(0, y)", y=y)
        assert tab.run("scrollY") == y


def test_they_are_sorted_and_filtered_by_the_proxy(tab, world):
    for i, sock in enumerate(world.few):
        sock.setblocking(True)
        sock.sendall(b"x" * 30_000 * (i + 1))
        left = 30_000 * (i + 1)
        while left:
            left -= len(sock.recv(left))
    tab.click("th button", "Received")
    tab.wait("document.querySelector('th[aria-sort]').ariaSort === 'ascending'")
    tab.wait(f"!{ROWS}.some((r) => r.innerText.includes('few.example'))")
    tab.click("th button", "Received")
    tab.wait("document.querySelector('th[aria-sort]').ariaSort === 'descending'")
    sizes = ["87.8 KiB", "58.5 KiB", "29.2 KiB", "\n0 B"]
    tab.wait(f"sizes.every((size, i) => {ROWS}[i].innerText.includes(size))", sizes=sizes)
    assert tab.run(f"{ROWS}.slice(0, 4).map((r) => r.innerText.includes('few.example'))") == [True, True, True, False]
    tab.fill("Target", "few.example")
    tab.wait(f"{ROWS}.length === k", k=FEW)
    tab.see(f"1–{FEW} of {FEW} that match · {world.n:,} open", ".pager .count")
    tab.run(COUNT_UPDATES)
    tab.wait("updates >= 2")
