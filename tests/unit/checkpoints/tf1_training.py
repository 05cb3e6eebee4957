"""What TensorFlow 1 leaves of training with several optimizers: the tensors that its Saver writes, and its graph.

Names and operations are those of 1.15 (`Optimizer.apply_gradients`, `slot_creator.py`); `data/make_unequal.py` makes
the same with TensorFlow itself.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from checkpoints import write_saver

from .graph_bytes import constant, graph_def, meta_graph, node

SHAPES = {"kernel": (3, 2), "bias": (2,)}
# By kind: TF 1's name, the slots in the order of their making, the op, and its inputs, `=` for slots, `*` for powers.
KINDS = {
    "adam": ("Adam", ("m", "v"), "ApplyAdam", "=m =v *1 *2 learning_rate beta1 beta2 epsilon gradient"),
    "momentum": ("Momentum", ("accumulator",), "ApplyMomentum", "=accumulator learning_rate gradient momentum"),
    "rmsprop": (
        "RMSProp",
        ("rms", "momentum"),
        "ApplyRMSProp",
        "=rms =momentum learning_rate decay momentum epsilon gradient",
    ),
    "centered": (
        "RMSProp",
        ("rms", "mg", "momentum"),
        "ApplyCenteredRMSProp",
        "=mg =rms =momentum learning_rate decay momentum epsilon gradient",
    ),
    "adagrad": ("Adagrad", ("accumulator",), "ApplyAdagrad", "=accumulator learning_rate gradient"),
    "ftrl": (
        "Ftrl",
        ("accumulator", "linear"),
        "ApplyFtrl",
        "=accumulator =linear gradient learning_rate l1 l2 learning_rate_power",
    ),
    "sgd": ("GradientDescent", (), "ApplyGradientDescent", "learning_rate gradient"),
}
SETTINGS = {"learning_rate": 0.01, "momentum": 0.9, "decay": 0.9, "epsilon": 1e-8, "l1": 0.0, "l2": 0.0}
SETTINGS["learning_rate_power"] = -0.5


class Trained(NamedTuple):
    """One optimizer: the scope of its variables, its kind, its steps; what it is called and made within, if anything.

    `counter` is what its steps increment, and with `decays` what its learning rate follows.
    """

    net: str
    kind: str
    steps: int
    name: str = ""
    name_scope: str = ""
    variable_scope: str = ""
    counter: str = ""
    betas: tuple[float, float] = (0.9, 0.999)
    decays: bool = False
    over: str = ""  # the scope of the variables, where they are another's

    def called(self):
        return self.name or KINDS[self.kind][0]


def power(beta, steps):
    """What Adam holds after so many steps: a product of float32, flushed to zero as 1.15 does."""
    product = factor = np.float32(beta)
    for _ in range(steps):
        product = np.float32(product * factor)
        if product < np.finfo("f4").tiny:
            return np.float32(0)
    return product


def write_training(prefix, optimizers, graph=True, counters=None, seed=0):
    """Writes the checkpoint `prefix`, and with `graph` its `.meta`; the tensors. `counters` overrides their values."""
    made = _Training(np.random.RandomState(seed))
    for optimizer in optimizers:
        made.add(optimizer)
    made.tensors.update(counters or {})
    write_saver(prefix, made.tensors, overwrite=True)
    if graph:
        with open(f"{prefix}.meta", "wb") as stream:
            stream.write(meta_graph(graph_def(made.finish())))
    return made.tensors


class _Training:
    def __init__(self, dice):
        self.tensors = {}
        self._nodes = []
        self._names = set()
        self._dice = dice
        self._updates = []

    def add(self, optimizer):
        called, slots, op, inputs = KINDS[optimizer.kind]
        called = optimizer.name or called
        outer = optimizer.variable_scope or optimizer.name_scope
        scope = self._unique(outer) + "/" if outer else ""
        own = self._unique(scope + called)
        powers = self._powers(scope, optimizer) if optimizer.kind == "adam" else {}
        betas = {"beta1": optimizer.betas[0], "beta2": optimizer.betas[1]}
        settings = {name: np.float32(value) for name, value in {**SETTINGS, **betas}.items()}
        for leaf, shape in SHAPES.items():
            variable = f"{optimizer.over or optimizer.net}/{leaf}"
            if variable not in self.tensors:
                self._variable(variable, self._dice.normal(size=shape).astype("f4"))
            names = {}
            for slot in slots:
                before = optimizer.variable_scope + "/" if optimizer.variable_scope else ""
                names[slot] = self._unique(f"{before}{variable}/{called}")
                value = np.abs(self._dice.normal(size=shape)).astype("f4") if optimizer.steps else np.zeros(shape, "f4")
                self._variable(names[slot], value)
            references = [variable]
            for name in inputs.split():
                if name[0] == "=":
                    references.append(names[name[1:]])
                elif name[0] == "*":
                    references.append(powers[int(name[1:])] + "/read")
                else:
                    references.append(f"{own}/{name}" if name in settings else f"gradients/{variable}")
            self._nodes.append(node(f"{own}/update_{variable}/{op}", op, references))
        if optimizer.decays:
            rate = settings.pop("learning_rate")
            self._nodes.append(constant(f"{own}/rate", rate))
            self._nodes.append(node(f"{own}/learning_rate", "Mul", [f"{optimizer.counter}/read", f"{own}/rate"]))
        self._nodes += [constant(f"{own}/{name}", value) for name, value in settings.items()]
        self._updates.append((own, [f"^{own}/update_{optimizer.over or optimizer.net}/{leaf}/{op}" for leaf in SHAPES]))
        if optimizer.counter:
            steps = int(self.tensors.get(optimizer.counter, np.int64(0))) + optimizer.steps
            if optimizer.counter not in self.tensors:
                self._nodes.append(node(optimizer.counter, "VariableV2"))
                self._nodes.append(node(f"{optimizer.counter}/read", "Identity", [optimizer.counter]))
            self.tensors[optimizer.counter] = np.int64(steps)
            self._nodes.append(node(f"{own}/value", "Const", [f"^{own}/update"], value=np.asarray(np.int64(1))))
            self._nodes.append(node(own, "AssignAdd", [optimizer.counter, f"{own}/value"]))

    def finish(self):
        """All nodes, those that save among them."""
        groups = [node(f"{own}/update", "NoOp", inputs) for own, inputs in self._updates]
        names = sorted(self.tensors)
        saving = [
            constant("save/SaveV2/tensor_names", np.array(names, object)),
            constant("save/SaveV2/shape_and_slices", np.array([""] * len(names), object)),
            node(
                "save/SaveV2",
                "SaveV2",
                ["save/Const", "save/SaveV2/tensor_names", "save/SaveV2/shape_and_slices", *names],
            ),
        ]
        return self._nodes + groups + saving

    def _powers(self, scope, optimizer):
        powers = {}
        for number, beta in enumerate(optimizer.betas, 1):
            powers[number] = self._unique(f"{scope}beta{number}_power")
            self._variable(powers[number], power(beta, optimizer.steps))
        return powers

    def _variable(self, name, value):
        self.tensors[name] = value
        self._nodes += [node(name, "VariableV2"), node(f"{name}/read", "Identity", [name])]

    def _unique(self, name):
        """As TensorFlow makes a name unique: `name`, `name_1`, ..."""
        found, number = name, 0
        while found in self._names:
            number += 1
            found = f"{name}_{number}"
        self._names.add(found)
        return found
