"""The Go clients: one module, pinned by go.mod and go.sum, built by the Go that is installed."""

from __future__ import annotations

import shutil
from pathlib import Path

from compat.drivers import FAMILIES, Missing
from compat.drivers.made import make_if_changed, run, sources

HERE = Path(__file__).parent


def build(root: Path) -> dict[str, list[str] | Missing]:
    if shutil.which("go") is None:
        raise Missing("go is not installed")
    try:
        run(["go", "list", "-m"], HERE)
    except RuntimeError as error:  # most likely an older Go than go.mod asks for
        raise Missing(str(error)) from error
    version = run(["go", "env", "GOVERSION"], HERE)
    target = root / ".compat" / "go"
    packages = [f"./{name}" for name in FAMILIES["go"]]

    def make() -> None:
        run(["go", "build", "-trimpath", "-o", f"{target}/", *packages], HERE)

    make_if_changed(target, sources(HERE, "*.go", "go.mod", "go.sum"), version, make)
    return {name: [str(target / name)] for name in FAMILIES["go"]}
