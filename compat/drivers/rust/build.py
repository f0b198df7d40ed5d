"""The rdkafka crate, compiled with the librdkafka that it brings: Cargo, a C compiler, make.

Cargo.toml pins what is used directly. There is no Cargo.lock: it would name the registry.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from compat.drivers import Missing
from compat.drivers.made import make_if_changed, run, sources

HERE = Path(__file__).parent
NEEDED = ("cargo", "cc", "c++", "make")


def build(root: Path) -> dict[str, list[str] | Missing]:
    missing = [tool for tool in NEEDED if shutil.which(tool) is None]
    if missing:
        raise Missing(f"not installed: {', '.join(missing)}")
    target = root / ".compat" / "rust"
    crate = target / "crate"

    def make() -> None:
        # Cargo writes beside what it builds; that is not to be among the sources.
        shutil.copytree(HERE / "src", crate / "src", dirs_exist_ok=True)
        shutil.copy(HERE / "Cargo.toml", crate)
        run(["cargo", "build", "--release", "--target-dir", str(target / "target")], crate)

    files = sources(HERE, "*.rs", "Cargo.toml")
    make_if_changed(target, files, run(["rustc", "--version"], HERE), make)
    return {"rdkafka": [str(target / "target" / "release" / "rdkafka-driver")]}
