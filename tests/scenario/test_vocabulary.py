"""Each verdict that `serve` can give is given live somewhere in these tests."""

import pathlib
import re

import pytest

HERE = pathlib.Path(__file__).resolve().parent
TABLE = HERE.parent.parent / "src" / "flow" / "verdict.def"

# Rows that need what is not served yet (credentials, a parent, the search for a segment size), or a
# fault of the proxy's own.
LATER = {
    "auth-required",
    "auth-failed",
    "auth-unsupported",
    "parent-auth-failed",
    "mtu-blackhole",
    "open",
    "proxy-error",
}


def serves():
    rows = re.findall(r'^V\(\w+, "([a-z-]+)",(.*?)\)$', TABLE.read_text(), re.M | re.S)
    return [name for name, rest in rows if re.search(r"\bSERVE\b", rest) and name not in LATER]


@pytest.mark.parametrize("verdict", serves())
def test_a_scenario_gives(verdict):
    texts = [
        path.read_text() for path in HERE.glob("test_*.py") if path.name != "test_vocabulary.py"
    ]
    assert any(f'"{verdict}"' in text for text in texts), f"no scenario gives {verdict}"


def test_the_table_was_read():
    assert len(serves()) > 20
