"""Where the temporary files of a test process are: in one folder, which goes when the process does, however it ends."""

import functools
import os
import subprocess
import tempfile

# Its standard input ends with the process that holds the other end.  What still dies may still write.
JANITOR = """
trap '' HUP INT TERM
cat
for i in 1 2 3 4 5 6 7 8 9 10; do
    rm -rf "$0" && exit
    sleep 0.2
done 2>/dev/null
"""

QUIET = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "start_new_session": True}


@functools.cache
def begin():
    """From here on, `tempfile` makes everything there; gives the folder and the process that waits to remove it."""
    folder = tempfile.mkdtemp(prefix="viaduct-run-")
    os.chmod(folder, 0o1777)  # as the folder that it stands for: other accounts have files there, too
    tempfile.tempdir = folder
    janitor = subprocess.Popen(["sh", "-c", JANITOR, folder], stdin=subprocess.PIPE, **QUIET)
    return folder, janitor
