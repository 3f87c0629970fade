"""Configuration dataclasses read as a schema: JSON in and out, strictly, and options for the command line.

Own code instead of pydantic: job files, workers and `sfv --help` must work in milliseconds without the server's
packages, and one parser gives one set of error texts.
"""

from __future__ import annotations

import ast
import inspect
import json
import math
import textwrap
import types
from dataclasses import MISSING, asdict, dataclass, fields, is_dataclass
from functools import cache
from itertools import pairwise
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from .config import Range
from .errors import SfvError

C = TypeVar("C")


ANY = Range()


@dataclass(frozen=True)
class Setting:
    """One field of a configuration."""

    name: str
    kind: type
    """str, int, float, bool, tuple (of choices, or of any texts) or the class of a nested configuration."""
    default: Any
    text: str
    """The docstring under the field: what it means, with its unit."""
    choices: tuple[str, ...] = ()
    """The allowed words; empty where anything goes."""
    range: Range = ANY
    """The allowed numbers."""
    optional: bool = False
    """None is allowed too."""


@cache
def settings(cls: type) -> dict[str, Setting]:
    """Return the fields of a configuration dataclass by name."""
    hints = get_type_hints(cls, include_extras=True)
    texts = {name: text for base in reversed(cls.__mro__) for name, text in _docstrings(base).items()}
    found = {}
    for f in fields(cls):
        kind, choices, bounds, optional = _read_type(hints[f.name])
        default = f.default if f.default_factory is MISSING else f.default_factory()
        found[f.name] = Setting(f.name, kind, default, texts.get(f.name, ""), choices, bounds, optional)
    return found


def parse(cls: type[C], data: object, where: str = "") -> C:
    """Build a configuration from parsed JSON; raise SfvError naming the field that is wrong."""
    if not isinstance(data, dict):
        raise SfvError(f"{where or 'The configuration'} must be an object with named fields, not {_shown(data)}.")
    known = settings(cls)
    for name in data:
        if name not in known:
            raise SfvError(f"There is no setting '{_path(where, str(name))}'. Settings here: {', '.join(known)}.")
    return cls(**{name: _value(known[name], value, _path(where, name)) for name, value in data.items()})


def to_json(config: Any) -> dict[str, Any]:
    """Turn a configuration into what `parse` reads."""
    return json.loads(json.dumps(asdict(config)))


def check(setting: Setting, value: Any, where: str) -> Any:
    """Return a single value if the setting allows it; raise SfvError otherwise."""
    if setting.choices and value not in setting.choices:
        raise SfvError(f"{where} is {_shown(value)}; it can be {', '.join(setting.choices)}.")
    low, high = setting.range.low, setting.range.high
    if setting.kind in (int, float) and not low <= value <= high:
        limits = f"at least {low:g}" if math.isinf(high) else f"from {low:g} to {high:g}"
        raise SfvError(f"{where} is {_shown(value)}; it must be {limits}.")
    return value


def _value(setting: Setting, value: Any, where: str) -> Any:
    if value is None and setting.optional:
        return None
    if is_dataclass(setting.kind):
        return parse(setting.kind, value, where)
    if setting.kind is tuple:
        if not isinstance(value, list | tuple):
            raise SfvError(f"{where} must be a list, not {_shown(value)}.")
        for i, item in enumerate(value):
            if not isinstance(item, str):
                raise SfvError(f"{where}[{i}] must be a text, not {_shown(item)}.")
        return tuple(check(setting, item, f"{where}[{i}]") for i, item in enumerate(value))
    if setting.kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value) if abs(value) < 2**63 else math.inf
    if type(value) is not setting.kind or (isinstance(value, float) and not math.isfinite(value)):
        names = {str: "a text", int: "a whole number", float: "a number", bool: "true or false"}
        raise SfvError(f"{where} must be {names[setting.kind]}, not {_shown(value)}.")
    return check(setting, value, where)


def _read_type(hint: Any) -> tuple[type, tuple[str, ...], Range, bool]:
    """Take a field's type apart into (kind, choices, range, optional)."""
    if get_origin(hint) in (Union, types.UnionType):
        (inner,) = [part for part in get_args(hint) if part is not type(None)]
        kind, choices, bounds, _ = _read_type(inner)
        return kind, choices, bounds, True
    if get_origin(hint) is Annotated:
        kind, choices, _, optional = _read_type(get_args(hint)[0])
        return kind, choices, get_args(hint)[1], optional
    if get_origin(hint) is Literal:
        return str, get_args(hint), ANY, False
    if get_origin(hint) is tuple:
        return tuple, _read_type(get_args(hint)[0])[1], ANY, False
    return hint, (), ANY, False


def _docstrings(cls: type) -> dict[str, str]:
    """Return the text under each field; empty where the source is not at hand."""
    try:
        body = ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0].body  # type: ignore[attr-defined]
    except (OSError, TypeError, SyntaxError):
        return {}
    return {field.target.id: " ".join(text.value.value.split())
            for field, text in pairwise(body)
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
            and isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant)
            and isinstance(text.value.value, str)}


def _path(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name


def _shown(value: object) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= 60 else text[:57] + "…"
