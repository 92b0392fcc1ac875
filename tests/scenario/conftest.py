"""Fixtures of the scenario tests.  The binary is named by the environment variable VIADUCT."""

import pathlib
import resource
import shutil
import sys

import pytest

LIB = pathlib.Path(__file__).resolve().parent.parent / "lib"
sys.path.insert(0, str(LIB))

# The tests open more descriptors than most shells allow softly.
SOFT, HARD = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (HARD, HARD))


@pytest.fixture(scope="session")
def certs():
    """The private CA of this run, and certificates of it."""
    from certs import Authority
    from viaduct import open_folder

    folder = open_folder("viaduct-certs-")
    yield Authority(folder)
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def proxy():
    """A proxy that allows everything, shared by the tests of a file that need no settings of their own."""
    from viaduct import Proxy

    with Proxy(hosts=[("127.0.0.1", "target.test"), ("127.0.0.1", "other.test")]) as shared:
        yield shared


@pytest.fixture(autouse=True)
def no_flow_is_left(request):
    """A test that shares a proxy begins after the flows of the test before it."""
    for name in {"proxy", "safe", "ruled"} & set(request.fixturenames):
        request.getfixturevalue(name).settle()
    yield
