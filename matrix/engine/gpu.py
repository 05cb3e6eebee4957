"""Is there a GPU?"""

from __future__ import annotations

import subprocess

_GPU_SECONDS = 20  # for nvidia-smi


def gpu_here() -> bool:
    """Whether this host has an NVIDIA GPU with a driver that answers."""
    try:
        done = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=_GPU_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0 and "GPU" in done.stdout
