"""The program that draws lessons from a finished request: `/box/in/report.json` -> `/box/out/lessons.json`. It asks no model."""

import sys
from collections.abc import Sequence

from fedwright_agents.knowledge.lessons import lessons_of_report
from fedwright_crds.base import canonical
from fedwright_crds.box import Box
from fedwright_crds.documents import ReportInput


def main(argv: Sequence[str]) -> int:
    del argv
    box = Box.here()
    report = ReportInput.model_validate_json(box.input("report.json").read_bytes())
    lessons = lessons_of_report(report)
    box.output("lessons.json").write_bytes(canonical([one.to_wire() for one in lessons]))
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
