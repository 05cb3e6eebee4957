"""What becomes of a generated model's file in a model with other names: right, or an error, and never wrong unsaid.

    python -m tests.unit.checkpoints.generated_cases write FOLDER --first 0 --count 200
    python -m tests.unit.checkpoints.generated_cases read FOLDER

writes with this Python's Keras (the package `keras` where KERAS_PACKAGE is set, else that of TensorFlow) and reads with
it what any Keras has written there. `read` pastes what errors suggest, counts how the models ended, and exits with 1 if
one was wrong and nothing said so.
"""

import argparse
import collections
import importlib
import json
import os
import re
import shutil
import sys
import zlib

import numpy as np

from . import generated_models as generated

FILES = {
    "weights of Keras 2": "model.h5",
    "model of Keras 2": "model.h5",
    "weights": "model.weights.h5",
    "model": "model.keras",
    "objects": "model-1",
    "saver": "model.ckpt",
    "saved model": "model",
    "arrays": "model.npz",
}
# How far outputs are apart, of the largest; measured between all releases and backends: 2e-6.
BOUND = 1e-5
MOST_PASTES = 3


class End(collections.namedtuple("End", "outcome pastes said")):
    """ "right", "error" or "wrong", how often suggestions were pasted, and the last error or the distance."""


def writable(keras):
    """The kinds of files that this Keras writes within a second."""
    # TensorFlow's own, of the same release, has no number of its own from 2.14 on.
    release = getattr(keras, "__version__", None) or sys.modules["tensorflow"].__version__
    version = tuple(int(number) for number in release.partition("-")[0].split(".")[:2])
    kinds = ["arrays", "model of Keras 2"]
    kinds += ["weights of Keras 2"] if version < (3,) else []
    kinds += ["weights", "model"] if version >= (2, 13) else []
    if "tensorflow" in sys.modules and (version >= (3,) or keras.__name__ != "keras"):
        kinds += ["objects"] if version >= (3,) else ["objects", "saver"]
    return kinds


def random_for(*words):
    """The random numbers of one case, the same in every process."""
    return np.random.RandomState(zlib.crc32("|".join(map(str, words)).encode()) & 0x7FFFFFFF)


def draw_case(keras, seed, kind):
    """A generated model to be written as a file of that kind; None where this Keras cannot write one of it."""
    model = generated.draw(seed, generated.available(keras))
    own_class = {"subclassed", "cell"} & set(_values(model))
    if own_class and kind in ("model", "model of Keras 2"):
        return None
    random = random_for("writer", seed, kind)
    style, order = generated.pick(random, generated.STYLES), generated.pick(random, generated.ORDERS)
    if kind == "arrays":
        # Nothing but numbers says there which layer comes first, so that they are believed.
        order = "flow"
    return {"seed": seed, "model": model, "kind": kind, "style": style, "order": order}


def _values(data):
    """All texts in nested lists and dictionaries."""
    if isinstance(data, (list, dict)):
        return [text for value in (data.values() if isinstance(data, dict) else data) for text in _values(value)]
    return [data]


def write(keras, case, folder):
    """Writes the case with other values in every variable, and beside it an input and what the model computes.

    False if Keras cannot: some releases give several variables of a layer the same name, and HDF5 takes it once; of a
    model without variables nothing is saved.
    """
    keras.backend.clear_session()
    try:
        if case["kind"] == "saver":
            _in_a_graph(keras, case, folder)
        else:
            _save(keras, case, _made(keras, case, case, folder), os.path.join(folder, FILES[case["kind"]]))
    except (RuntimeError, ValueError) as error:
        if not re.search("name already exists|No variables to save", str(error)):
            raise
        return False
    with open(os.path.join(folder, "case.json"), "w") as stream:
        json.dump(case, stream)
    return True


def _made(keras, case, names, folder):
    """The model of the case, its inputs and outputs written to `folder`."""
    inputs = inputs_of(case)
    model = build(keras, case, names["style"], names["order"], random_for("names", case["seed"]))
    generated.scramble(keras, model, case["seed"])
    np.savez(os.path.join(folder, "golden.npz"), inputs=inputs, outputs=compute(keras, model, inputs))
    return model


def build(keras, case, style, order, random):
    """The model of the case with names in that style; it has its variables."""
    model = generated.build(keras, case["model"], generated.Names(style, random), order, random)
    if case["model"]["top"] == "subclassed":
        compute(keras, model, inputs_of(case))
    return model


def _save(keras, case, model, path):
    if case["kind"].startswith("weights"):
        model.save_weights(path)
    elif case["kind"].startswith("model"):
        model.save(path)
    elif case["kind"] == "arrays":
        from checkpoints import model_variables
        from checkpoints.keras_models import value_of

        np.savez(path, **{name: value_of(variable) for name, variable in model_variables(model).items()})
    else:
        import tensorflow as tf

        if case["kind"] == "objects":
            tf.train.Checkpoint(model=model).save(path[: -len("-1")])
        else:
            tf.saved_model.save(model, path)


def _in_a_graph(keras, case, folder):
    """The model in a static graph, written by TensorFlow 1's Saver."""
    import tensorflow as tf

    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        tf.compat.v1.keras.backend.set_session(session)
        _made(keras, case, case, folder)
        tf.compat.v1.train.Saver().save(session, os.path.join(folder, FILES["saver"]))
    keras.backend.clear_session()


def inputs_of(case):
    """A batch for the model of the case."""
    random, shape = np.random.RandomState(case["seed"]), (3,) + generated.INPUTS[case["model"]["shape"]]
    if case["model"]["shape"] == "ids":
        return random.randint(0, generated.WORDS, shape).astype("int32")
    return random.standard_normal(shape).astype("f4")


def compute(keras, model, inputs):
    """What `model` computes in inference mode, without the many traces of `predict` where Keras works eagerly."""
    tensorflow = sys.modules.get("tensorflow")
    if hasattr(keras, "ops") or (keras.__name__ != "keras" and tensorflow.executing_eagerly()):
        return np.asarray(model(inputs, training=False))
    return np.asarray(model.predict_on_batch(inputs))


def read(keras, folder, seed):
    """Reads the case in `folder` into the same model with other names, pasting what errors suggest; an `End`.

    Raises whatever is no CheckpointError.
    """
    from checkpoints import CheckpointError, MappingError, load, make_plan, model_variables, open_checkpoint

    with open(os.path.join(folder, "case.json")) as stream:
        case = json.load(stream)
    with np.load(os.path.join(folder, "golden.npz")) as golden:
        inputs, wanted = golden["inputs"], golden["outputs"]
    random = random_for("reader", seed, case["seed"], case["kind"])
    style, order = generated.pick(random, generated.STYLES), generated.pick(random, generated.ORDERS)
    keras.backend.clear_session()
    model = build(keras, case, style, order, random)
    # Whatever is not loaded must not be right by accident.
    generated.scramble(keras, model, case["seed"] + 1)
    rules, pastes = [], 0
    while True:
        try:
            variables = model_variables(model)
            with open_checkpoint(os.path.join(folder, FILES[case["kind"]])) as checkpoint:
                load(make_plan(checkpoint, variables, rules), checkpoint, variables)
            break
        except MappingError as error:
            new = [rule for rule in error.suggestions if rule not in rules]
            if not new or pastes == MOST_PASTES:
                return End("error", pastes, str(error))
            rules, pastes = rules + new, pastes + 1
        except CheckpointError as error:
            return End("error", pastes, str(error))
    distance = float(np.max(np.abs(compute(keras, model, inputs) - wanted))) / max(1.0, float(np.abs(wanted).max()))
    return End("right" if distance <= BOUND else "wrong", pastes, distance)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("do", choices=("write", "read"))
    parser.add_argument("folder")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--count", type=int, default=100, help="how many models")
    parser.add_argument("--kind", action="append", choices=sorted(FILES), help="kinds of files to write")
    parser.add_argument("--seed", type=int, default=0, help="another seed gives the same models other names")
    options = parser.parse_args()
    keras = importlib.import_module(os.environ.get("KERAS_PACKAGE", "tensorflow.keras"))
    raise SystemExit((_write_all if options.do == "write" else _read_all)(keras, options))


def _write_all(keras, options):
    kinds = options.kind or writable(keras)
    for seed in range(options.first, options.first + options.count):
        case = draw_case(keras, seed, kinds[seed % len(kinds)])
        folder = os.path.join(options.folder, f"{seed:05}")
        if case is not None and not os.path.exists(folder):
            os.makedirs(folder)
            if not write(keras, case, folder):
                shutil.rmtree(folder)
    return 0


def _read_all(keras, options):
    ends = collections.Counter()
    for name in sorted(os.listdir(options.folder)):
        end = read(keras, os.path.join(options.folder, name), options.seed)
        ends[end.outcome, end.pastes] += 1
        print(name, end.outcome, end.pastes, str(end.said).replace("\n", " ")[:200])
    for (outcome, pastes), count in sorted(ends.items()):
        print(f"{count:5} {outcome} after pasting {pastes} times")
    return 1 if any(outcome == "wrong" for outcome, _ in ends) else 0


if __name__ == "__main__":
    main()
