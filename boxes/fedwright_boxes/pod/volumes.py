"""The folders of a pod as the trusted first process of a container reads and writes them. Knows no step and no cell."""

import contextlib
import mmap
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from fedwright_boxes.parcel import Content
from fedwright_boxes.pod import contract
from fedwright_boxes.stream import MAX_FILES, IrregularFileError, open_plain
from fedwright_crds.work import Work

_FILE_MODE = 0o640


class VolumeError(Exception):
    """What should be in a folder is not there, or something else is."""


@dataclass(frozen=True)
class Volumes:
    """Below `root`, which is `/` in a pod."""

    root: Path

    def at(self, place: PurePosixPath) -> Path:
        return self.root / place.relative_to("/")

    @property
    def box(self) -> Path:
        return self.at(contract.BOX)

    def work(self) -> Work:
        try:
            return Work.model_validate_json(self.at(contract.WORK).read_bytes())
        except (OSError, ValueError) as error:
            raise VolumeError(f"the work cannot be read from {contract.WORK}: {error}") from error

    def input(self, name: str) -> bytes:
        """All chunks in their order; raises `OSError` if there is none. They may be links: the kubelet made them."""
        folder = self.at(contract.IN) / name
        chunks = [(folder / contract.chunk_name(0)).read_bytes()]
        while (chunk := folder / contract.chunk_name(len(chunks))).exists():
            chunks.append(chunk.read_bytes())
        return b"".join(chunks)

    def secrets(self) -> dict[str, bytes]:
        """What was made for this work alone, by name; empty where nothing was."""
        folder = self.at(contract.SECRET)
        if not folder.is_dir():
            return {}
        return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}

    def received(self, handover: str, most_bytes: int) -> dict[str, Content]:
        """The files of a handover. They stay where they are, in memory already, and are mapped."""
        return dict(_plain_files(self.at(contract.FROM) / handover, most_bytes))

    def hand_over(self, handover: str, files: Mapping[str, Content]) -> None:
        for name, content in files.items():
            _write_new(self.at(contract.TO) / handover / name, content)

    def hand_out(self, output: str, content: bytes) -> None:
        _write_new(self.at(contract.OUT) / output, content)

    def outputs(self, step: str, most_bytes: int) -> dict[str, bytes]:
        """What a step handed out, as the last container sees it."""
        return {name: bytes(content) for name, content in _plain_files(self.at(contract.OUT) / step, most_bytes)}

    def say(self, message: bytes) -> None:
        """The container's last message."""
        self.at(contract.TERMINATION_LOG).write_bytes(message)


def _plain_files(folder: Path, most_bytes: int) -> Iterator[tuple[str, Content]]:
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise VolumeError(f"{folder} cannot be read: {error.strerror}") from error
    try:
        names = sorted(os.listdir(handle))  # noqa: PTH208 (by descriptor)
        if len(names) > MAX_FILES:
            raise VolumeError(f"{folder} holds more than {MAX_FILES} files")
        for name in names:
            content = _mapped(open_plain(name, handle), most_bytes)
            most_bytes -= len(content)
            yield name, content
    except IrregularFileError as error:
        raise VolumeError(f"{folder}: {error}") from error
    finally:
        os.close(handle)


def _mapped(file: int, most_bytes: int) -> Content:
    try:
        size = os.fstat(file).st_size
        if size > most_bytes:
            raise VolumeError(f"a file of {size} bytes is more than the {most_bytes} that are left")
        return memoryview(mmap.mmap(file, size, access=mmap.ACCESS_READ)) if size else b""
    finally:
        os.close(file)


def _write_new(path: Path, content: Content) -> None:
    """Whole or not at all: whoever reads the folder later takes what is there for the truth."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, _FILE_MODE)
    try:
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(file, rest) :]
    except OSError:
        with contextlib.suppress(OSError):
            path.unlink()
        raise
    finally:
        os.close(file)
