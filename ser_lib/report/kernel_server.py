"""A process that forks notebook kernels, so that what they all import is imported once.

`python -m ser_lib.report.kernel_server MODULE ...` imports the modules, reads one line a kernel
from its input (connection file and working folder, as JSON), and answers with the kernel's process
id. It ends with its input, and kernels end with it. Nothing here may start a thread or compute: a
fork copies neither threads nor what they hold.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import signal
import sys
from importlib import import_module

# What every kernel imports before its first cell.
KERNEL_MODULES = ("ipykernel.kernelapp", "matplotlib_inline.backend_inline")


def main(modules: list[str]) -> None:
    """Import what can be imported, then fork a kernel for each line of input."""
    # As IPython sets it; matplotlib reads it when it is imported.
    os.environ.setdefault("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    for name in (*KERNEL_MODULES, *modules):
        # What is no module is a name in one; what fails, fails again in the notebook and is shown.
        with contextlib.suppress(Exception):
            import_module(name)
    # Kernels that have ended leave no entry in the table of processes.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    gc.freeze()
    for line in sys.stdin:
        process_id = os.fork()
        if process_id == 0:
            _become_kernel(*json.loads(line))
        print(process_id, flush=True)


def _become_kernel(connection_file: str, folder: str) -> None:
    """Turn this copy of the process into a kernel, in a session of its own."""
    os.setsid()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in range(3):
        os.dup2(nowhere, stream)
    os.chdir(folder)
    # A kernel watches this process and ends with it.
    os.environ["JPY_PARENT_PID"] = str(os.getppid())
    sys.argv = ["ipykernel_launcher", "-f", connection_file]
    code = 1
    try:
        import_module("ipykernel.kernelapp").launch_new_instance()
        code = 0
    finally:
        os._exit(code)


if __name__ == "__main__":
    main(sys.argv[1:])
