"""Fixtures of the capture tests."""

import os
import pathlib
import sys

import pytest

LIB = pathlib.Path(__file__).resolve().parent.parent / "lib"
sys.path.insert(0, str(LIB))


@pytest.fixture(scope="module")
def lab():
    """A network that the tests of a file share.  Without namespaces there is none: said, and in CI a failure."""
    from lab import Lab, Unavailable

    try:
        network = Lab()
    except Unavailable as why:
        if os.environ.get("CI"):
            pytest.fail(f"no network namespaces here: {why}")
        pytest.skip(f"no network namespaces here: {why}")
    with network:
        yield network
