"""`python unpack.py WHEELS FOLDER PACKAGE ...`: these packages of the project's one wheel, compiled, with its metadata.

No script of the wheel is made: what starts in an image is named by its module.
"""

import sys
import zipfile
from pathlib import Path

from settle import compiled, dated

SEEN_AT = Path("/opt/fedwright/lib/python3.11/site-packages")


def main(wheels: Path, folder: Path, packages: list[str]) -> None:
    (wheel,) = wheels.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        wanted = [name for name in archive.namelist() if _is_wanted(name, packages)]
        missing = set(packages) - {name.split("/")[0] for name in wanted}
        if missing:
            raise SystemExit(f"{wheel.name}: has no {', '.join(sorted(missing))}")
        archive.extractall(folder, wanted)
        record = next(name for name in archive.namelist() if name.endswith(".dist-info/RECORD"))
        kept = [line for line in archive.read(record).decode().splitlines() if line.split(",")[0] in wanted]
    (folder / record).write_text("\n".join([*kept, f"{record},,", ""]))
    compiled(folder, seen_at=SEEN_AT, strict=True)
    dated(folder)


def _is_wanted(name: str, packages: list[str]) -> bool:
    return name.split("/")[0] in packages or name.endswith((".dist-info/METADATA", ".dist-info/WHEEL"))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
