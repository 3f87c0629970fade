"""Run the networks that MediaPipe's wheel carries, on LiteRT: the only module that imports it.

MediaPipe's own graph follows one person and hides the region that it looks at. Here the caller chooses the region, so
people can be followed side by side, turned and mirrored, and a hand or a face can be looked at. The weights are read
from the installed wheel (version 0.10.21, Apache-2.0), so everything works offline. What only leads to an output that
nobody reads is cut off: without the outline of the person the pose network takes 8 ms instead of 14.
"""

from __future__ import annotations

import importlib.util
import os
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import SfvError

MODELS = {
    "pose_detection": "pose_detection/pose_detection.tflite",
    "pose_landmark": "pose_landmark/pose_landmark_full.tflite",
    "palm_detection": "palm_detection/palm_detection_full.tflite",
    "hand_landmark": "hand_landmark/hand_landmark_full.tflite",
    "face_detection": "face_detection/face_detection_short_range.tflite",
    "face_landmark": "face_landmark/face_landmark.tflite",
}
"""Name of each network → its file in the wheel's folder mediapipe/modules."""
_UNREAD = {"pose_landmark": {"Identity_2"}}
"""Name of a network → the outputs to cut off."""


class Network:
    """One network, ready to run; use each instance from one thread at a time."""

    def __init__(self, name: str, threads: int = 1) -> None:
        path = weights(name)
        try:
            with _silent():
                from ai_edge_litert.interpreter import Interpreter

                content = _without(path.read_bytes(), _UNREAD.get(name, set()))
                self._interpreter: Any = Interpreter(model_content=content, num_threads=threads)
                self._interpreter.allocate_tensors()
        except ImportError as error:
            raise SfvError(f"LiteRT is not installed ({error}). Install the pose extra: pip install 'sfv[pose]'."
                           ) from error
        entrance = self._interpreter.get_input_details()[0]
        self._entrance = entrance["index"]
        self._exits = [output["index"] for output in self._interpreter.get_output_details()]
        self.size = int(entrance["shape"][1])
        """Width and height of the square picture that it takes in px."""

    def __call__(self, picture: np.ndarray) -> tuple[np.ndarray, ...]:
        """Return all outputs, in the file's order, for one picture (size, size, 3) float32."""
        self._interpreter.set_tensor(self._entrance, picture[None].astype(np.float32, copy=False))
        self._interpreter.invoke()
        return tuple(self._interpreter.get_tensor(index)[0] for index in self._exits)


def weights(name: str) -> Path:
    """Return the file of a network in the installed MediaPipe wheel, without importing MediaPipe."""
    spec = importlib.util.find_spec("mediapipe")
    if spec is None or not spec.submodule_search_locations:
        raise SfvError("MediaPipe, which carries the networks, is not installed. Install the pose extra: "
                       "pip install 'sfv[pose]'.")
    path = Path(spec.submodule_search_locations[0]) / "modules" / MODELS[name]
    if not path.is_file():
        raise SfvError(f"The installed MediaPipe has no network '{path.name}'. Install the pose extra, which brings "
                       "version 0.10.21: pip install 'sfv[pose]'.")
    return path


def _without(content: bytes, unread: set[str]) -> bytes:
    """Return a TFLite model without these outputs and the operators that lead to nothing else."""
    if not unread:
        return content
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model: Any = schema.ModelT.InitFromObj(schema.Model.GetRootAs(bytearray(content), 0))
    graph = model.subgraphs[0]
    graph.outputs = [index for index in graph.outputs if graph.tensors[index].name.decode() not in unread]
    needed, operators = set(graph.outputs), []
    for operator in reversed(graph.operators):
        if needed.intersection(operator.outputs):
            operators.insert(0, operator)
            needed.update(operator.inputs)
    graph.operators = operators
    builder = flatbuffers.Builder(len(content))
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


_terminal = threading.Lock()


@contextmanager
def _silent():
    """Send what native code writes to the terminal nowhere: LiteRT logs there unasked."""
    with _terminal:
        kept = os.dup(2)
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, 2)
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            os.close(nowhere)
