"""The kinds of kinds.toml: how each is written, and how the release that runs this reads it natively."""

import collections

from tests.pairs import graph_formats as graph
from tests.pairs.graph_formats import v1

Kind = collections.namedtuple("Kind", "write native")


def eager_kinds():
    """Kinds that have Keras models in them: they need TensorFlow 1.15 or newer."""
    from tests.pairs import keras_formats as keras

    def new_format(load, what):
        def native(folder):
            if keras.KERAS < (2, 12):
                raise graph.Unsupported("{} came with Keras 2.12".format(what))
            return load(folder)

        return native

    def tf_weights(folder):
        if keras.KERAS >= (3, 0):
            raise graph.Unsupported("Keras 3 reads no weights in TensorFlow's format")
        return keras.load_weights("weights")(folder)

    return {
        "saver-v2-by-name": Kind(None, keras.restore_names),
        "saved-model-keras": Kind(keras.write_saved_model_keras, keras.load_saved_keras),
        "saved-model-export": Kind(keras.write_saved_model_export, graph.load_saved_model),
        "object-checkpoint": Kind(keras.write_object_checkpoint, keras.restore_checkpoint),
        "keras-h5": Kind(keras.write_h5, keras.load_whole("model.h5")),
        "keras-h5-weights": Kind(keras.write_h5_weights, keras.load_weights("weights.h5")),
        "weights-h5": Kind(keras.write_weights_h5, new_format(keras.load_weights("model.weights.h5"), ".weights.h5")),
        "keras-v3": Kind(keras.write_keras_v3, new_format(keras.load_whole("model.keras"), "the .keras archive")),
        "keras-tf-weights": Kind(keras.write_tf_weights, tf_weights),
    }


def graph_kinds():
    """Kinds that every TensorFlow since 1.4 writes and reads."""
    return {
        "saver-v2": Kind(graph.write_saver, graph.restore_with_saver),
        "saver-v1": Kind(graph.write_saver_v1, graph.restore_with_saver),
        "frozen-graph": Kind(graph.write_frozen_graph, graph.import_frozen_graph),
        "saved-model": Kind(graph.write_saved_model, graph.load_saved_model),
    }


def catalogue():
    """Every kind that this release can have to do with, by id."""
    kinds = graph_kinds()
    if v1.VERSION.startswith("1.") and not v1.VERSION.startswith("1.15"):
        return kinds
    from tests.pairs import keras_formats as keras

    kinds.update(eager_kinds())
    if not v1.VERSION.startswith("1."):
        kinds["saved-model"] = kinds["saved-model"]._replace(write=keras.write_saved_model)
    return kinds
