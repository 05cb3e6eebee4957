"""The networks as files that need none of this code: a frozen graph each, or a SavedModel each.

What is in a Session is exported as TensorFlow 1 does it, Keras models as their own release does it. `gan` is any of
the ways of writing the training, open; networks are called `generator` and `discriminator`.
"""

from __future__ import annotations

import json
import os

import tensorflow as tf

#: In a folder of frozen graphs: {network: [name of the input tensor, name of the output tensor]}.
TENSORS = "tensors.json"


def outputs(gan, inputs):
    """{network: what its graph computes} from `inputs`. Op by op a model is a few ulp away: a graph fuses ops."""
    if hasattr(gan, "session"):
        return {name: gan.session.run(sink, {source: inputs[name]}) for name, (source, sink) in _ends(gan).items()}
    return {name: tf.function(model)(tf.constant(inputs[name])).numpy() for name, model in _models(gan).items()}


def write_frozen_graphs(gan, folder, inputs):
    """Write `folder`/NETWORK.pb, a GraphDef whose variables are constants, and TENSORS: where each is fed and read.

    Returns {network: what the frozen graph computes from `inputs` here}.
    """
    freeze = _freeze_session if hasattr(gan, "session") else _freeze_models
    tensors, computed = {}, {}
    for network, (graph_def, names, computed[network]) in freeze(gan, inputs).items():
        with open(os.path.join(folder, network + ".pb"), "wb") as file:
            file.write(graph_def.SerializeToString(deterministic=True))
        tensors[network] = names
    with open(os.path.join(folder, TENSORS), "w") as file:
        json.dump(tensors, file, sort_keys=True)
    return computed


def _freeze_session(gan, inputs):
    graph_def, computed = gan.graph.as_graph_def(), outputs(gan, inputs)
    frozen = {}
    for network, (source, sink) in _ends(gan).items():
        constant = tf.compat.v1.graph_util.convert_variables_to_constants(gan.session, graph_def, [sink.op.name])
        frozen[network] = (constant, [source.name, sink.name], computed[network])
    return frozen


def _freeze_models(gan, inputs):
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    frozen = {}
    for network, model in _models(gan).items():
        given = tf.TensorSpec((None,) + tuple(model.input_shape[1:]), tf.float32)
        function = convert_variables_to_constants_v2(tf.function(model).get_concrete_function(given))
        names = [function.inputs[0].name, function.outputs[0].name]
        (computed,) = function(tf.constant(inputs[network]))
        frozen[network] = (function.graph.as_graph_def(), names, computed.numpy())
    return frozen


def write_saved_models(gan, folder, inputs):
    """Write `folder`/NETWORK, a SavedModel whose signature `serving_default` is the network.

    Returns {network: what it computes from `inputs` here}.
    """
    if hasattr(gan, "session"):
        for network, (source, sink) in _ends(gan).items():
            path = os.path.join(folder, network)
            tf.compat.v1.saved_model.simple_save(gan.session, path, {"input": source}, {"output": sink})
        return outputs(gan, inputs)
    for network, model in _models(gan).items():
        path = os.path.join(folder, network)
        if hasattr(model.trainable_variables[0], "path"):  # Keras 3
            model.export(path)
        else:
            tf.saved_model.save(model, path)
    return outputs(gan, inputs)


def _ends(gan):
    return {"generator": (gan.z, gan.fake), "discriminator": (gan.x, gan.real_logits)}


def _models(gan):
    return {"generator": gan.generator, "discriminator": gan.discriminator}
