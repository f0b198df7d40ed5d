"""The examples of docs/testing.md, run as they stand."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.process import PATIENCE_SECONDS

pytest_plugins = ["pytester"]
TEXT = (Path(__file__).parents[2] / "docs/testing.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", TEXT, re.S)
TESTS = [block for block in BLOCKS if "def test_" in block]
PROGRAMS = [block for block in BLOCKS if "def test_" not in block]
INI = re.findall(r"```ini\n(.*?)```", TEXT, re.S)


def title(block: str) -> str:
    return block.strip().splitlines()[0]


def test_all_of_them_are_found() -> None:
    assert (len(TESTS), len(PROGRAMS), len(INI)) == (3, 4, 1)
    for client in ("kafka import", "confluent_kafka", "aiokafka", "faststream"):
        assert any(client in block for block in BLOCKS)


@pytest.mark.parametrize("block", TESTS, ids=title)
def test_of_pytest(pytester: pytest.Pytester, block: str) -> None:
    pytester.makepyfile(block)
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", timeout=240)
    result.assert_outcomes(passed=block.count("def test_"))


@pytest.mark.parametrize("block", PROGRAMS, ids=title)
def test_programs(tmp_path: Path, block: str) -> None:
    program = tmp_path / "program.py"
    program.write_text(block)
    done = subprocess.run(
        [sys.executable, str(program)],
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_the_settings_file(pytester: pytest.Pytester) -> None:
    pytester.makeini(INI[0])
    pytester.makepyfile(
        "def test_one(kafka_broker): kafka_broker.create_topic('t')\n"
        "def test_two(kafka_broker): assert kafka_broker.topics() == ['t']\n"
    )
    pytester.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(passed=2)


def test_the_commands(tmp_path: Path) -> None:
    lines = re.findall(r"^    (pykbroker exec .*)$", TEXT, re.M)
    assert len(lines) == 2
    for line in lines:
        options = line.split(" -- ")[0].split()[1:]
        show = [sys.executable, "-c", "import os; print(os.environ['KAFKA_BOOTSTRAP_SERVERS'])"]
        done = subprocess.run(
            [sys.executable, "-m", "pykbroker", *options, "--", *show],
            capture_output=True,
            text=True,
            timeout=2 * PATIENCE_SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith("localhost:")
