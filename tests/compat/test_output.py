"""What the suite's own commands print, and what it repeats of what others printed."""

from __future__ import annotations

import subprocess
import sys

import pytest

from compat.said import what_is_wrong
from tests.support.process import PATIENCE_SECONDS, ROOT

NODE = """\
node:internal/modules/cjs/loader:1148
  throw err;
  ^

Error: Cannot find module 'kafkajs'
Require stack:
- /drivers/kafkajs.js
    at Module._resolveFilename (node:internal/modules/cjs/loader:1145:15)
    at node:internal/main/run_main_module:28:49 {
  code: 'MODULE_NOT_FOUND',
  requireStack: [ '/drivers/kafkajs.js' ]
}

Node.js v20.19.2
"""
NODE_ESM = """\
node:internal/modules/run_main:123
    triggerUncaughtException(
    ^
Error [ERR_MODULE_NOT_FOUND]: Cannot find package 'kafkajs' imported from /drivers/b.mjs
    at packageResolve (node:internal/modules/esm/resolve:873:9) {
  code: 'ERR_MODULE_NOT_FOUND'
}

Node.js v20.19.2
"""
PYTHON = """\
Traceback (most recent call last):
  File "driver.py", line 1, in <module>
    import kafka
ModuleNotFoundError: No module named 'kafka'

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "driver.py", line 9, in <module>
    main()
kafka.errors.KafkaError: not that one
"""
JAVA = """\
Exception in thread "main" java.lang.NoClassDefFoundError: org/apache/kafka/Thing
\tat Driver.main(Driver.java:7)
Caused by: java.lang.ClassNotFoundException: org.apache.kafka.Thing
\tat java.base/java.net.URLClassLoader.findClass(URLClassLoader.java:445)
\t... 1 more
"""
GO = """\
panic: no such host

goroutine 1 [running]:
main.main()
\t/drivers/main.go:7 +0x18
exit status 2
"""
RUST = """\
thread 'main' panicked at src/main.rs:3:5:
no address given
note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace
"""


@pytest.mark.parametrize(
    ("said", "wrong"),
    [
        (NODE, "Error: Cannot find module 'kafkajs'"),
        (
            NODE_ESM,
            "Error [ERR_MODULE_NOT_FOUND]: Cannot find package 'kafkajs' "
            "imported from /drivers/b.mjs",
        ),
        (PYTHON, "kafka.errors.KafkaError: not that one"),
        (JAVA, "Caused by: java.lang.ClassNotFoundException: org.apache.kafka.Thing"),
        (GO, "panic: no such host"),
        (RUST, "thread 'main' panicked at src/main.rs:3:5: no address given"),
        ("driver has ended\nsh: 1: driver: not found\n", "sh: 1: driver: not found"),
        ("driver has ended\n", "driver has ended"),
    ],
)
def test_the_line_that_says_what_is_wrong_is_found(said: str, wrong: str) -> None:
    assert what_is_wrong(said) == wrong


@pytest.mark.parametrize(
    "command",
    [
        ("compat", "--help"),
        ("compat", "run", "--help"),
        ("compat", "run", "--list"),
        ("compat", "bench", "--list"),
        ("compat.bench", "--list"),
        ("compat.differential", "--help"),
    ],
    ids=" ".join,
)
def test_a_command_whose_output_nobody_reads_ends_quietly(command: tuple[str, ...]) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT
    ) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        said = process.stderr.read().decode()
        code = process.wait(PATIENCE_SECONDS)
    assert (code, said) in ((141, ""), (0, ""))


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (("compat", "nothing"), "compat: there is no command 'nothing'"),
        (
            ("compat.differential", "--bootstrap", "127.0.0.1:1", "--reference", "127.0.0.1:1"),
            "compat: no broker at 127.0.0.1:1: Connection refused",
        ),
        (
            ("compat.differential", "--bootstrap", "x", "--reference", "127.0.0.1:1"),
            "compat: no broker at x: it is not HOST:PORT",
        ),
    ],
    ids=["command", "nobody", "address"],
)
def test_what_cannot_be_done_is_one_line(command: tuple[str, ...], says: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", *command], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert (done.returncode, done.stderr) == (2, f"{says}\n")
