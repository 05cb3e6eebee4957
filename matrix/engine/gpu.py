"""Is there a GPU, and which?"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass

_GPU_SECONDS = 20  # for nvidia-smi


def gpu_here() -> bool:
    """Whether this host has an NVIDIA GPU with a driver that answers."""
    try:
        done = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=_GPU_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0 and "GPU" in done.stdout


@dataclass(frozen=True)
class Gpu:
    """An NVIDIA GPU of this host: the driver as 550.54.15, the compute capability as 8.0 (empty with old drivers)."""

    name: str
    driver: str
    capability: str


def gpus() -> list[Gpu]:
    """The NVIDIA GPUs of this host, none where no driver answers."""
    found = []
    for query in ("name,driver_version,compute_cap", "name,driver_version"):
        command = ["nvidia-smi", f"--query-gpu={query}", "--format=csv,noheader"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=_GPU_SECONDS, check=False)
        except (OSError, subprocess.TimeoutExpired):
            return []
        if done.returncode == 0:
            for line in done.stdout.splitlines():
                words = [word.strip() for word in line.split(",")]
                if len(words) >= 2:
                    found.append(Gpu(words[0], words[1], words[2] if len(words) > 2 else ""))
            break
    return found
