"""Fixtures of the browser tests.  The binary is named by the environment variable VIADUCT."""

import pathlib
import resource
import sys

import pytest

LIB = pathlib.Path(__file__).resolve().parent.parent / "lib"
sys.path.insert(0, str(LIB))

SOFT, HARD = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (HARD, HARD))


@pytest.fixture(scope="session")
def browser():
    from page import Chromium

    with Chromium() as shared:
        yield shared
