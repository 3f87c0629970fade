"""Command line options made from configuration dataclasses, and checks of the paths that people type."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn, TypeVar, cast

from .errors import SfvError
from .schema import Setting, check, settings

C = TypeVar("C")
PATHS = ("body", "prior", "keypoints", "map")
"""Settings that name a file."""


class Parser(argparse.ArgumentParser):
    """A parser that says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}. Try {self.prog} --help\n")


def add_settings(parser: argparse.ArgumentParser, cls: type, leave_out: tuple[str, ...] = (),
                 prefix: str = "") -> None:
    """Add an option for each field of a configuration: its docstring is the help.

    prefix: put before each name, for a command with several configurations ("bake-": --bake-fps).
    """
    group = parser.add_argument_group(f"{cls.__name__.removesuffix('Config').lower()} settings")
    for setting in settings(cls).values():
        if setting.name in leave_out:
            continue
        flag = f"--{prefix}{setting.name.replace('_', '-')}"
        if setting.kind is bool:
            group.add_argument(flag, action=argparse.BooleanOptionalAction,
                               default=setting.default, help=setting.text.replace("%", "%%"))
            continue
        if setting.kind is tuple:
            group.add_argument(flag, action="append", default=None, metavar=setting.name.upper()[0],
                               help=setting.text.replace("%", "%%"))
            continue
        default = "" if setting.default is None else f" (default: {setting.default})"
        group.add_argument(
            flag, type=_reader(setting), default=setting.default,
            choices=setting.choices or None, metavar=None if setting.choices else setting.name.upper()[0],
            help=f"{setting.text}{default}".replace("%", "%%"))


def read_settings(options: argparse.Namespace, cls: type[C], prefix: str = "") -> C:
    """Build a configuration from the options that `add_settings` added."""
    before = prefix.replace("-", "_")
    given = {name: getattr(options, before + name) for name in settings(cls)}
    lists = {name: tuple(given[name] or setting.default) for name, setting in settings(cls).items()
             if setting.kind is tuple}
    return cls(**given | lists)


def from_here(config: C) -> C:
    """Make a configuration's paths absolute, since a job is resumed from anywhere."""
    paths = {name: str(Path(path).absolute()) for name in PATHS if (path := getattr(config, name, None)) is not None}
    return replace(cast(Any, config), **paths)


def _reader(setting: Setting) -> Callable[[str], Any]:
    def read(text: str) -> Any:
        try:
            value = setting.kind(text)
        except ValueError:
            kinds = {int: "a whole number", float: "a number"}
            raise argparse.ArgumentTypeError(f"'{text}' is not {kinds[setting.kind]}") from None
        try:
            return check(setting, value, setting.name)
        except SfvError as error:
            raise argparse.ArgumentTypeError(str(error).rstrip(".")) from None

    return read


def output_file(path: Path, *suffixes: str) -> Path:
    """Check the path of a file to write; raise SfvError if it is a folder or of another kind."""
    if path.is_dir():
        raise SfvError(f"'{path}' is a folder. Give the name of a file to write, such as "
                       f"'{path / ('result' + suffixes[0])}'.")
    if path.suffix.lower() not in suffixes:
        raise SfvError(f"'{path}' should end in {' or '.join(suffixes)}.")
    return path


def output_folder(path: Path) -> Path:
    """Check the path of a folder to write into; raise SfvError if it is a file."""
    if path.exists() and not path.is_dir():
        raise SfvError(f"'{path}' is a file. Give the name of a folder to write into.")
    return path


@contextmanager
def made_for_output(folder: Path) -> Iterator[Path]:
    """Make a folder and its parents; if the block fails, remove those of them that are new and still empty."""
    new = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SfvError(f"The folder '{folder}' cannot be made: {error.strerror}.") from error
    try:
        yield folder
    except BaseException:
        for path in new:
            if path.is_dir() and not any(path.iterdir()):
                path.rmdir()
        raise
