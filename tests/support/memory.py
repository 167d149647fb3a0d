"""Commands whose memory is measured."""

from __future__ import annotations

import os
import subprocess

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


def measured(arguments: list[str], **environment: str) -> tuple[int, str, float]:
    """Exit code, messages and peak memory in MiB of a command."""
    process = subprocess.Popen(
        arguments, env=ENVIRONMENT | environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr
    errors = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    process.stderr.close()
    return process.returncode, errors, usage.ru_maxrss / 1024
