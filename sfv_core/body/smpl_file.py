"""Read body models in SMPL's file format: .npz, or the licensed .pkl without running what a pickle could contain.

SMPL's pickles hold numpy arrays, a scipy.sparse matrix and values of chumpy, a library that no longer installs. Only
the classes these need are let through; a chumpy value becomes a plain record of its fields.
"""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse

from sfv_core.errors import SfvError

KEYS = ("v_template", "shapedirs", "posedirs", "J_regressor", "weights", "f", "kintree_table")
"""What SMPL's code needs of a file; everything else in it is left aside."""

_UNREADABLE = (pickle.UnpicklingError, zipfile.BadZipFile, EOFError, OSError, AttributeError, ImportError, LookupError,
               ValueError, TypeError, ArithmeticError, MemoryError, RecursionError)
"""What broken files make pickle and numpy raise."""

_HINT = "Give the SMPL model file (.pkl or .npz) as its makers distribute it."


def read(path: Path) -> dict[str, np.ndarray]:
    """Return the arrays named in KEYS, and `materials` where there are any; raise SfvError that names the file."""
    if not path.is_file():
        raise SfvError(f"No body model file '{path}'. {_HINT}")
    if path.suffix.lower() not in (".npz", ".pkl"):
        raise SfvError(f"'{path}' is neither a .npz nor a .pkl file. {_HINT}")
    try:
        found = _read_npz(path) if path.suffix.lower() == ".npz" else _read_pickle(path)
        missing = [key for key in KEYS if key not in found]
        if missing:
            raise SfvError(f"'{path}' is not a whole SMPL model: it has no {', '.join(missing)}. {_HINT}")
        return {key: _array(found[key]) for key in (*KEYS, "materials") if key in found}
    except _UNREADABLE as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise SfvError(f"'{path}' is not an SMPL model file: {reason}. {_HINT}") from error


def _read_npz(path: Path) -> dict[str, Any]:
    with np.load(path, allow_pickle=False) as data:
        return {key: data[key] for key in data.files if key in (*KEYS, "materials")}


def _read_pickle(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        found = _Unpickler(file, encoding="latin1").load()
    if not isinstance(found, dict):
        raise ValueError(f"it holds a {type(found).__name__} in place of a dictionary")
    return found


class _Chumpy:
    """The fields of a chumpy value."""

    def __init__(self, *_: object) -> None:
        """Take the place of any constructor of chumpy."""

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)


_SPARSE = {name: getattr(scipy.sparse, name) for name in ("csc_matrix", "csr_matrix", "coo_matrix")}
_NUMPY = {"ndarray": np.ndarray, "dtype": np.dtype, "_reconstruct": np.zeros(1).__reduce__()[0],
          "scalar": np.float64(0).__reduce__()[0], "_frombuffer": np.zeros(1).__reduce_ex__(5)[0]}
_NUMPY_MODULES = {"numpy", *(f"numpy.{core}.{module}" for core in ("core", "_core")
                             for module in ("multiarray", "numeric"))}


class _Unpickler(pickle.Unpickler):
    """Let through the classes that SMPL's files need and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        if module.split(".")[0] == "chumpy":
            return _Chumpy
        if module.startswith("scipy.sparse") and name in _SPARSE:
            return _SPARSE[name]
        if module in _NUMPY_MODULES and name in _NUMPY:
            return _NUMPY[name]
        if (module, name) in (("_codecs", "encode"), ("copy_reg", "_reconstructor"), ("copyreg", "_reconstructor"),
                              ("__builtin__", "object"), ("builtins", "object")):
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, which has no place in a body model")


def _array(value: Any) -> np.ndarray:
    """Return the array in a plain, sparse or chumpy value."""
    if isinstance(value, _Chumpy):
        if "x" in value.__dict__:
            return _array(value.__dict__["x"])
        if {"a", "idxs", "preferred_shape"} <= value.__dict__.keys():
            picked = _array(value.__dict__["a"]).ravel()[value.__dict__["idxs"]]
            return picked.reshape(value.__dict__["preferred_shape"])
        raise ValueError(f"a chumpy value holds {', '.join(value.__dict__) or 'nothing'} in place of an array")
    array = value.toarray() if scipy.sparse.issparse(value) else np.asarray(value)
    if array.dtype.kind not in "biuf":
        raise ValueError(f"it holds values of the type {array.dtype} in place of numbers")
    return array
