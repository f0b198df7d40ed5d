"""The reports as files: results.json, junit.xml, index.html."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import TYPE_CHECKING

from compat.report.matrix import as_json
from compat.runner import Outcome

if TYPE_CHECKING:
    from compat.report.matrix import Matrix

_PAGE = Path(__file__).parent / "page.html"


def write_reports(matrix: Matrix, directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "results.json").write_text(json.dumps(as_json(matrix), indent=1) + "\n")
    as_junit(matrix).write(directory / "junit.xml", encoding="utf-8", xml_declaration=True)
    (directory / "index.html").write_text(as_page(matrix), encoding="utf-8")


def as_junit(matrix: Matrix) -> ET.ElementTree[ET.Element]:
    """A suite for each client, a case for each behaviour; what is not run counts as skipped."""
    root = ET.Element("testsuites", name=f"compat {matrix.name}")
    for client in matrix.clients:
        results = [r for (_, name), r in matrix.cells.items() if name == client.name]
        failed = sum(r.outcome is Outcome.FAILED for r in results)
        left_out = sum(r.outcome not in (Outcome.FAILED, Outcome.PASSED) for r in results)
        suite = ET.SubElement(
            root,
            "testsuite",
            name=client.name,
            tests=str(len(results)),
            failures=str(failed),
            errors="0",
            skipped=str(left_out),
            time=f"{sum(r.seconds for r in results):.3f}",
        )
        for result in results:
            family, _, name = result.behaviour.partition("/")
            case = ET.SubElement(
                suite,
                "testcase",
                classname=f"{client.name}.{family}",
                name=name,
                time=f"{result.seconds:.3f}",
            )
            detail = _printable(result.detail)
            if result.outcome is Outcome.FAILED:
                ET.SubElement(case, "failure", message=detail.split("\n")[0]).text = detail
            elif result.outcome is not Outcome.PASSED:
                ET.SubElement(case, "skipped", message=f"{result.outcome}: {detail}")
    return ET.ElementTree(root)


def _printable(text: str) -> str:
    """What XML can hold."""
    return "".join(c if c in "\t\n" or c.isprintable() else "?" for c in text)


def as_page(matrix: Matrix) -> str:
    import jinja2

    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    template = environment.from_string(_PAGE.read_text(encoding="utf-8"))
    page: str = template.render(matrix=matrix, Outcome=Outcome)
    return page
