"""What a program said before it ended: of many lines the one that says what is wrong."""

from __future__ import annotations

import re

_PANIC = re.compile(r"thread '.*' panicked at ")
"""Rust's; the message is the line after it."""
_WRONG = re.compile(
    r"""(
        ([\w$]+[./])*[\w$]*(Error|Exception|Exit|Interrupt)(\ \[\w+\])?(:\ |$)  # Python, Node, Java
      | Exception\ in\ thread\ | Caused\ by:\ | Error\ occurred\                # Java
      | (panic|fatal|fatal\ error|error|ERROR):\ | error\[\w+\]:\               # Go, compilers
    )""",
    re.VERBOSE,
)


def what_is_wrong(text: str) -> str:
    """The last line that begins as errors do, else the last line; a traceback's cause comes last
    in Python and Java, and what Node says after it is its own version."""
    lines = [line.rstrip() for line in text.splitlines() if line.strip()]
    for number in range(len(lines) - 1, -1, -1):
        if _PANIC.match(lines[number]):
            return " ".join(lines[number : number + 2])
        if _WRONG.match(lines[number]):
            return lines[number]
    return lines[-1].strip() if lines else ""
