"""Read a frozen TensorFlow 1 graph (`GraphDef`) as data, without TensorFlow."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from roundoff.errors import RoundoffError
from roundoff.models.deepbrain.protobuf import fields, varints

FLOAT32 = 1


@dataclass(frozen=True)
class Node:
    """One operation: its kind, the names of its inputs, and its raw attributes."""

    name: str
    op: str
    inputs: tuple[str, ...] = ()
    attributes: dict[str, bytes] = field(default_factory=dict)

    def text(self, attribute: str) -> str:
        """A string attribute, e.g. padding."""
        return dict(fields(self.attributes[attribute]))[2].decode()

    def numbers(self, attribute: str) -> tuple[int, ...]:
        """An attribute that is a list of integers, e.g. strides."""
        content = dict(fields(self.attributes[attribute]))[1]
        return tuple(varints(dict(fields(content))[3]))

    def constant(self) -> np.ndarray | None:
        """The float32 value of a `Const` node; None where it is of another type."""
        tensor = dict(fields(self.attributes["value"]))[8]
        content = list(fields(tensor))
        kinds = [v for k, v in content if k == 1]
        if kinds != [FLOAT32]:
            return None
        shape = _shape(next((v for k, v in content if k == 2), b""))
        raw = b"".join(v for k, v in content if k in (4, 5))
        values = np.frombuffer(raw, "<f4")
        if values.size == 1:  # a single stored value stands for the whole tensor
            return np.full(shape, values[0], np.float32)
        return values.reshape(shape).copy()


def _shape(message: bytes) -> tuple[int, ...]:
    dims = [dict(fields(v)) for k, v in fields(message) if k == 2]
    return tuple(dim.get(1, 0) for dim in dims)


def read_graph(path: str | Path) -> dict[str, Node]:
    """All nodes of the graph file by name.

    Raises RoundoffError when the file is missing, truncated or of another kind.
    """
    path = Path(path)
    try:
        message = path.read_bytes()
    except OSError as error:
        raise RoundoffError(
            f"weights: {path} cannot be read ({error.strerror}); fetch the source "
            "'deepbrain' again or correct the path"
        ) from None
    try:
        nodes = [_node(v) for k, v in fields(message) if k == 1]
        nodes = {node.name: node for node in nodes}
    except (ValueError, KeyError, TypeError, UnicodeDecodeError) as error:
        raise RoundoffError(
            f"weights: {path} ({len(message)} bytes) is no whole frozen graph "
            f"({error}); fetch the source 'deepbrain' again"
        ) from None
    return nodes


def _node(message: bytes) -> Node:
    name = op = ""
    inputs, attributes = [], {}
    for number, value in fields(message):
        if number == 1:
            name = value.decode()
        elif number == 2:
            op = value.decode()
        elif number == 3:
            inputs.append(value.decode())
        elif number == 5:
            entry = dict(fields(value))
            attributes[entry[1].decode()] = entry.get(2, b"")
    return Node(name, op, tuple(inputs), attributes)
