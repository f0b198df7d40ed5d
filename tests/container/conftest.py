"""Containers of the image, without Docker (``engine``)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.container import engine as engines

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    reason = engines.why_not()
    if reason is not None:
        pytest.skip(f"no containers here: {reason}")
    path = tmp_path_factory.mktemp("image")
    engines.build(path)
    path.chmod(0o755)
    return path


@pytest.fixture
def engine(template: Path, tmp_path: Path) -> Iterator[engines.Engine]:
    engine = engines.Engine(template, tmp_path)
    yield engine
    engine.close()
