"""Planted bugs: each patch under tests/mutants must turn some seed red. Never in this tree: the
sources are copied, the copy is patched and simulated."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.simulation.runner import HASH_SEED

ROOT = Path(__file__).resolve().parents[2]
PATCHES = ROOT / "tests" / "mutants"
COPIED = ("pykbroker", "wire", "tests/simulation", "tests/support")


def names() -> list[str]:
    return sorted(path.stem for path in PATCHES.glob("*.patch"))


def copy_sources(target: Path) -> None:
    for folder in COPIED:
        ignored = shutil.ignore_patterns("__pycache__", "test_*.py")
        shutil.copytree(ROOT / folder, target / folder, ignore=ignored)


def plant(name: str, target: Path) -> None:
    """Raises CalledProcessError where the patch fits no longer."""
    patch = PATCHES / f"{name}.patch"
    command = ["git", "apply", "--unsafe-paths", f"--directory={target}", str(patch)]
    subprocess.run(command, check=True, cwd=target)


def simulate_copy(target: Path, seeds: range, processes: int) -> subprocess.CompletedProcess[str]:
    """Until the first seed that fails."""
    span = f"{seeds[0]}-{seeds[-1]}"
    command = [sys.executable, "-m", "tests.simulation", "run", "--stop"]
    environment = {**os.environ, "PYTHONPATH": str(target), "PYTHONHASHSEED": HASH_SEED}
    return subprocess.run(
        [*command, "--seeds", span, "--processes", str(processes)],
        cwd=target,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def found(name: str, seeds: range, processes: int) -> str | None:
    """What the first red seed says; None when all of them stayed green."""
    with tempfile.TemporaryDirectory(prefix="mutant-") as folder:
        target = Path(folder)
        copy_sources(target)
        plant(name, target)
        done = simulate_copy(target, seeds, processes)
        red = [line for line in done.stdout.splitlines() if line.startswith("seed ")]
        if done.returncode == 1 and red:
            return red[0]
        if done.returncode == 0:
            return None
        raise RuntimeError(f"{name}: {done.stdout}{done.stderr}")


def check_mutants(wanted: list[str], seeds: range, processes: int) -> int:
    missed = 0
    for name in wanted or names():
        what = found(name, seeds, processes)
        missed += what is None
        print(f"{name}: {what or 'NOT FOUND'}", flush=True)
    return 1 if missed else 0
