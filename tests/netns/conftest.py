"""Fixtures of the tests in the lab (lab.py says how to write one)."""

import os
import pathlib
import shutil
import sys

import pytest

LIB = pathlib.Path(__file__).resolve().parent.parent / "lib"
sys.path.insert(0, str(LIB))


@pytest.fixture
def lab():
    """A network of the test's own.  Without namespaces there is none: said, and in CI a failure."""
    from lab import Lab, Unavailable

    try:
        network = Lab()
    except Unavailable as why:
        if os.environ.get("CI"):
            pytest.fail(f"no network namespaces here: {why}")
        pytest.skip(f"no network namespaces here: {why}")
    with network:
        yield network


@pytest.fixture(scope="session")
def certs():
    """The private CA of this run, and certificates of it."""
    from certs import Authority
    from viaduct import open_folder

    folder = open_folder("viaduct-certs-")
    yield Authority(folder)
    shutil.rmtree(folder)
