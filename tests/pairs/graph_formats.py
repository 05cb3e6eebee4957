"""What TensorFlow 1 writes of a static graph, and how each release's documentation says to read it.

Writers run in TensorFlow 1.4 on Python 3.6 too.
"""

import json
import os

import numpy as np
import tensorflow as tf

from gan import study
from tests.pairs.steps import CONTINUED, STEPS

v1 = study.v1
META = "graph.json"


class Unsupported(Exception):
    """This release has no such feature."""


class StaticGraph:
    """The study's network with its loss and TensorFlow 1's Adam, in a graph and a session of its own."""

    def __init__(self):
        self.graph = tf.Graph()
        with self.graph.as_default():
            v1.set_random_seed(1)
            self.x = v1.placeholder(tf.float32, (None, study.LATENT_SIZE), "x")
            self.y = v1.placeholder(tf.float32, (None, 1), "y")
            self.outputs = tf.identity(study.graph(self.x), "outputs")
            self.variables = v1.trainable_variables()
            loss = tf.reduce_mean((self.outputs - self.y) ** 2)
            step = v1.train.get_or_create_global_step()
            self.train_op = v1.train.AdamOptimizer(study.LEARNING_RATE).minimize(loss, global_step=step)
            self.initializer = v1.global_variables_initializer()
        self.session = v1.Session(graph=self.graph)
        self.session.run(self.initializer)

    def train(self, first, steps):
        for step in range(first, first + steps):
            x, y = study.batch(step)
            self.session.run(self.train_op, {self.x: x, self.y: y})

    def weights(self):
        return self.session.run(self.variables)

    def predict(self, inputs):
        return self.session.run(self.outputs, {self.x: inputs})

    def save(self, prefix, version):
        with self.graph.as_default():
            v1.train.Saver(save_relative_paths=True, write_version=version).save(self.session, prefix)

    def restore(self, prefix):
        with self.graph.as_default():
            v1.train.Saver().restore(self.session, prefix)


def golden(folder, trained, continue_training=True):
    """Write golden.npz: inputs, outputs, the weights in order, and what three further steps make of them."""
    arrays = {"inputs": study.golden_inputs()}
    arrays["outputs"] = trained.predict(arrays["inputs"])
    arrays.update(("weights_%03d" % i, value) for i, value in enumerate(trained.weights()))
    if continue_training:
        trained.train(STEPS, CONTINUED)
        arrays.update(("continued_%03d" % i, value) for i, value in enumerate(trained.weights()))
    np.savez(os.path.join(folder, "golden.npz"), **arrays)


def write_saver(folder, version=2):
    """A name-based checkpoint: weights, Adam's slots and powers, global_step."""
    trained = StaticGraph()
    trained.train(0, STEPS)
    trained.save(os.path.join(folder, "model.ckpt"), v1.train.SaverDef.V2 if version == 2 else v1.train.SaverDef.V1)
    golden(folder, trained)


def write_saver_v1(folder):
    """The same in the format of TensorFlow before 0.12."""
    write_saver(folder, version=1)


def write_frozen_graph(folder):
    """The graph as one file, its variables turned into constants."""
    trained = StaticGraph()
    trained.train(0, STEPS)
    if tf.__version__.startswith("1."):
        definition = v1.graph_util.convert_variables_to_constants(
            trained.session, trained.graph.as_graph_def(), ["outputs"]
        )
        names = {"inputs": "x:0", "outputs": "outputs:0"}
    else:
        definition, names, trained = _frozen_function()
    with open(os.path.join(folder, "frozen.pb"), "wb") as file:
        file.write(definition.SerializeToString())
    with open(os.path.join(folder, META), "w") as file:
        json.dump(names, file)
    golden(folder, trained, continue_training=False)


def _frozen_function():
    """A frozen function of TensorFlow 2: (GraphDef, tensor names, the trained model)."""
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    from tests.pairs.keras_formats import Trained

    trained = Trained()
    trained.train(0, STEPS)
    function = tf.function(lambda x: trained.model(x, training=False))
    spec = tf.TensorSpec((None, study.LATENT_SIZE), tf.float32, name="x")
    frozen = convert_variables_to_constants_v2(function.get_concrete_function(spec))
    names = {"inputs": frozen.inputs[0].name, "outputs": frozen.outputs[0].name}
    return frozen.graph.as_graph_def(), names, trained


def write_saved_model(folder):
    """A SavedModel of the graph, with the signature that serving asks for."""
    trained = StaticGraph()
    trained.train(0, STEPS)
    module = v1.saved_model
    builder = module.builder.SavedModelBuilder(os.path.join(folder, "saved_model"))
    with trained.graph.as_default():
        signature = module.signature_def_utils.predict_signature_def({"x": trained.x}, {"outputs": trained.outputs})
        builder.add_meta_graph_and_variables(
            trained.session, [module.tag_constants.SERVING], {"serving_default": signature}
        )
    builder.save()
    golden(folder, trained, continue_training=False)


def restore_with_saver(folder):
    """TensorFlow 1's own way, through compat.v1 in TensorFlow 2: the graph built again, and Saver.restore."""
    restored = StaticGraph()
    restored.restore(os.path.join(folder, "model.ckpt"))
    return restored


class Outputs:
    """Something loaded that computes outputs, and may say what variables it holds, in any order."""

    def __init__(self, predict, found=None):
        self.predict, self.found = predict, found


def import_frozen_graph(folder):
    """TensorFlow 1: import_graph_def and a session. TensorFlow 2: wrap_function, pruned to input and output."""
    definition = v1.GraphDef()
    with open(os.path.join(folder, "frozen.pb"), "rb") as file:
        definition.ParseFromString(file.read())
    with open(os.path.join(folder, META)) as file:
        names = json.load(file)
    if tf.__version__.startswith("1."):
        graph = tf.Graph()
        with graph.as_default():
            tf.import_graph_def(definition, name="")
        session = v1.Session(graph=graph)
        return Outputs(lambda x: session.run(names["outputs"], {names["inputs"]: x}))
    wrapped = v1.wrap_function(lambda: v1.import_graph_def(definition, name=""), [])
    pruned = wrapped.prune(
        wrapped.graph.as_graph_element(names["inputs"]), wrapped.graph.as_graph_element(names["outputs"])
    )
    return Outputs(lambda x: pruned(tf.constant(x)).numpy())


def load_saved_model(folder):
    """tf.saved_model.load and its serving_default signature; in TensorFlow 1 into a graph and a session."""
    path = os.path.join(folder, "saved_model")
    if not tf.__version__.startswith("1."):
        loaded = tf.saved_model.load(path)
        signature = loaded.signatures["serving_default"]
        # Of a TensorFlow 1 signature, 2.0 to 2.3 do not tell the names; they are what its writer called them.
        (name,) = signature.structured_input_signature[1] if signature.structured_input_signature else ("x",)

        def predict(x, owner=loaded):  # the variables live no longer than what was loaded
            (outputs,) = signature(**{name: tf.constant(x)}).values()
            return outputs.numpy()

        # np.asarray makes an array of one object of each in 2.0 to 2.3.
        return Outputs(predict, [variable.numpy() for variable in getattr(loaded, "variables", ())])
    graph = tf.Graph()
    session = v1.Session(graph=graph)
    with graph.as_default():
        signature = v1.saved_model.load(session, ["serve"], path).signature_def["serving_default"]
        (x,), (outputs,) = signature.inputs.values(), signature.outputs.values()
        found = session.run(v1.global_variables())
    return Outputs(lambda values: session.run(outputs.name, {x.name: values}), found)
