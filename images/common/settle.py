"""Make a folder of installed Python code ready for an image that nobody writes: compiled, every file of one date.

Equal sources are equal bytes: one process, one order, and compiled files that name no date of their source.
"""

import compileall
import os
from pathlib import Path
from py_compile import PycInvalidationMode


def compiled(folder: Path, *, seen_at: Path, strict: bool) -> None:
    """`seen_at`: where the folder lies in the image, for tracebacks. `strict`: a file that does not compile is an error."""
    done = compileall.compile_dir(
        str(folder),
        maxlevels=50,
        ddir=str(seen_at),
        quiet=1 if strict else 2,
        workers=1,
        invalidation_mode=PycInvalidationMode.UNCHECKED_HASH,
    )
    if strict and not done:
        raise SystemExit(f"{folder}: has files that do not compile")


def dated(folder: Path) -> None:
    epoch = int(os.environ["SOURCE_DATE_EPOCH"])
    for path in (*folder.rglob("*"), folder):
        os.utime(path, (epoch, epoch), follow_symlinks=False)
