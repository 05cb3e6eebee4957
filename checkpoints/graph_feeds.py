"""Values for the placeholders of a graph: random ones for data, those of inference for what decides or counts."""

from __future__ import annotations

from typing import Any, Iterable, Mapping, Sequence

import numpy as np

from .errors import ArgumentError, CheckpointError
from .graph_ids import id_limit
from .graph_layers import reached, sources
from .inference_graph.placeholders import LENGTHS, SIZE, SWITCH
from .inference_graph.random_ops import is_random

BATCH = 2
BINARY = 2
"""The limit of integers that are no ids, which may be labels or flags."""


class Feeds:
    """What is fed, by the name of the tensor (`values`), and which `inputs` are among it, `named` as in the result."""

    def __init__(self, graph: Any, purposes: Mapping[str, str], seed: int) -> None:
        self._graph = graph
        self._purposes = purposes
        self._seed = seed
        self._made: dict[str, np.ndarray[Any, Any]] = {}
        self._lists: set[str] = set()
        self._limits: dict[str, int] = {}
        self.values: dict[str, np.ndarray[Any, Any]] = {}
        self.inputs: list[Any] = []
        self.named: dict[str, np.ndarray[Any, Any]] = {}
        self.notes: list[str] = []

    def fix(self, tensor: Any, value: Any) -> None:
        """Gives `tensor` a value of the user's, which makes it no input, unless it can be nothing else."""
        dtype = tensor.dtype.as_numpy_dtype
        shape = _shape(tensor)
        try:
            array = np.asarray(value, dtype)
            # One number fills any shape; a list has its own.
            array = np.full(shape, array, dtype) if shape and not array.ndim else array
        except (ValueError, TypeError) as error:
            raise ArgumentError(f"--feed {tensor.op.name}={value}: {error}") from None
        self.values[tensor.name] = array
        computed = not tensor.op.type.startswith("Placeholder")
        # A number in place of what is drawn at random only stops that.
        stopped = is_random(tensor.op.type) and not np.ndim(value)
        is_input = bool(array.ndim) and (computed or shape is None) and not stopped
        if is_input:
            self.inputs.append(tensor)
        elif np.ndim(value) and array.dtype.kind not in "OSU":
            self._lists.add(tensor.op.name)
        self._made[tensor.op.name] = array if is_input else np.zeros(())

    def add(self, key: str, fetches: Sequence[Any]) -> None:
        """Makes values for the placeholders without one that `fetches` depend on, whose inputs are those of `key`."""
        for tensor in self._placeholders(fetches):
            name = tensor.op.name
            purpose = self._purposes.get(name, "")
            if name not in self._made:
                value = self._value(tensor, purpose)
                if value is None:
                    self._made[name] = np.zeros(())
                    continue
                self.values[tensor.name] = value
                self._made[name] = np.zeros(()) if purpose else value
                if not purpose:
                    self.inputs.append(tensor)
            if self._made[name].ndim:
                self._name(key, tensor, self._made[name])
        if not any(name.startswith(f"inputs_{key}") for name in self.named):
            # What is given whole can be nothing else then.
            for tensor in [tensor for tensor in self._placeholders(fetches) if tensor.op.name in self._lists]:
                self.inputs.append(tensor)
                self._name(key, tensor, self.values[tensor.name])

    def _name(self, key: str, tensor: Any, value: np.ndarray[Any, Any]) -> None:
        self.named[f"inputs_{key}{tensor.op.name.replace('/', '.')}"] = value

    def switches(self) -> list[str]:
        """The tensors that decide between branches and were given a value here."""
        return [name for name in self.values if self._purposes.get(name.partition(":")[0]) == SWITCH]

    def turned(self, switch: str) -> dict[str, Any]:
        """The values with that switch the other way round."""
        value = self.values[switch]
        return {**self.values, switch: np.logical_not(value).astype(value.dtype)}

    def with_other_rows(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The values with other inputs in all rows of the batch but the first."""
        changed = dict(values)
        for number, tensor in enumerate(self.inputs):
            array = values[tensor.name]
            if array.ndim and array.shape[0] > 1:
                limit = self._limits.get(tensor.name, BINARY)
                others = _random(array.shape, array.dtype, self._seed + 1000 + number, limit)
                changed[tensor.name] = np.concatenate([array[:1], others[1:]])
        return changed

    def _placeholders(self, fetches: Sequence[Any]) -> list[Any]:
        """The placeholders that `fetches` depend on, and what was fixed in place of one, by name."""
        fixed = {name.partition(":")[0] for name in self.values}
        # What lies behind a fed tensor is not computed.
        flow = reached([tensor.op for tensor in fetches], lambda op: [] if op.name in fixed else sources(op))
        found = {op.name: op.outputs[0] for op in flow if op.type.startswith("Placeholder") or op.name in fixed}
        return [found[name] for name in sorted(found)]

    def _value(self, tensor: Any, purpose: str) -> Any:
        """A value for the placeholder; None if it keeps its default."""
        name = tensor.op.name
        if purpose == SWITCH:
            return np.zeros((), tensor.dtype.as_numpy_dtype)
        if tensor.op.type == "PlaceholderWithDefault" and not self._replaces_random(tensor) and self._has_other(tensor):
            self.notes.append(f"{name} keeps its default")
            return None
        if purpose == SIZE:
            self.notes.append(f"{name} = {BATCH}: taken for the size of the batch")
            return np.asarray(BATCH, tensor.dtype.as_numpy_dtype)
        if purpose == LENGTHS:
            return self._lengths(tensor)
        if tensor.dtype.is_integer:
            self._limits[tensor.name] = id_limit(tensor) or BINARY
        return _input(tensor, self._seed + len(self._made), self._limits.get(tensor.name, BINARY))

    def _replaces_random(self, tensor: Any) -> bool:
        """Whether the placeholder's default is random, as that of the noise which a generator starts from."""
        return any(is_random(op.type) for op in reached([tensor.op], sources))

    def _has_other(self, tensor: Any) -> bool:
        """Whether there is data without this placeholder, which has a default."""
        if tensor.shape.ndims == 0:
            return True
        others = [name for name, purpose in self._purposes.items() if not purpose and name != tensor.op.name]
        return any(self._graph.get_operation_by_name(name).type != "PlaceholderWithDefault" for name in others)

    def _lengths(self, tensor: Any) -> Any:
        """As many steps as the sequences have, so that nothing is cut off."""
        reversed_ = [op for op in self._graph.get_operations() if op.type == "ReverseSequence"]
        axes = [(op.inputs[0].shape, op.get_attr("seq_dim")) for op in reversed_]
        known = [shape[axis] for shape, axis in axes if shape.ndims is not None]
        data = [name for name, purpose in self._purposes.items() if not purpose]
        shapes = [_shape(self._graph.get_tensor_by_name(name + ":0")) for name in data]
        longest = max([shape[1] for shape in shapes if shape is not None and len(shape) > 1], default=BATCH)
        # More than there are do no harm but to what reverses them.
        steps = min([getattr(size, "value", size) or BATCH for size in known], default=longest)
        self.notes.append(f"{tensor.op.name} = {steps}: taken for the lengths of sequences, so that none is cut")
        return np.full(_shape(tensor), steps, tensor.dtype.as_numpy_dtype)


def _input(tensor: Any, seed: int, limit: int) -> np.ndarray[Any, Any]:
    name, shape = tensor.op.name, _shape(tensor)
    if tensor.dtype.name == "string":
        hint = f'give them with --feed {name}=["..."], or feed what they are parsed into'
        raise CheckpointError(f"the input {name} takes strings; {hint}")
    if shape is None:
        raise CheckpointError(f"the input {name} may have any shape; give it with --feed {name}=[[...]]")
    if not shape and tensor.dtype.name == "bool":
        raise CheckpointError(f"the graph computes with {name}; say what it is with --feed {name}=true or {name}=false")
    if not shape:
        raise CheckpointError(f"the graph wants a number for {name}; give it with --feed {name}=1.0")
    return _random(shape, np.dtype(tensor.dtype.as_numpy_dtype), seed, limit)


def _random(shape: Iterable[int], dtype: Any, seed: int, limit: int) -> np.ndarray[Any, Any]:
    """Values of the shape and type: floats of a normal distribution, integers below `limit`."""
    random = np.random.RandomState(seed)
    # The kind of a bfloat16 of TensorFlow's own is "V".
    if dtype.kind in "fcV":
        return random.standard_normal(tuple(shape)).astype(dtype)
    return random.randint(0, limit, tuple(shape)).astype(dtype)


def _shape(tensor: Any) -> list[int] | None:
    """The shape of `tensor`, its unknown dimensions 2; None if their number is unknown too."""
    if tensor.shape.ndims is None:
        return None
    return [BATCH if extent is None else int(extent) for extent in tensor.shape.as_list()]
