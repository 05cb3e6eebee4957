"""What Keras models are saved as, from TensorFlow 1.15 to Keras 3, and how each release documents loading it."""

import importlib
import os

import numpy as np
import tensorflow as tf

from gan import study
from tests.pairs.graph_formats import Outputs, Unsupported, golden
from tests.pairs.steps import STEPS


def keras_version():
    """(2, 15): some releases of tf.keras do not say, but the package that they take it from does."""
    text = getattr(tf.keras, "__version__", None)
    if text is None:
        text = importlib.import_module(tf.keras.Model.__module__.partition(".")[0]).__version__
    return tuple(int(part) for part in text.partition("-")[0].split(".")[:2])


KERAS = keras_version()


class Trained:
    """A Keras model with its optimizer; trained further by tf.GradientTape, whatever it was loaded from."""

    def __init__(self, model=None, optimizer=None):
        if model is None:
            model = study.keras_model()
            model.compile(optimizer=tf.keras.optimizers.Adam(study.LEARNING_RATE), loss="mse")
        self.model = model
        self.optimizer = optimizer or getattr(model, "optimizer", None)

    def train(self, first, steps):
        for step in range(first, first + steps):
            x, y = study.batch(step)
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean((self.model(x, training=True) - y) ** 2)
            variables = self.model.trainable_variables
            self.optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables))

    def weights(self):
        return self.model.get_weights()

    def predict(self, inputs):
        return np.asarray(self.model(inputs, training=False))


def trained():
    """A model trained as people do, with compile and train_on_batch."""
    study_model = Trained()
    for step in range(STEPS):
        study_model.model.train_on_batch(*study.batch(step))
    return study_model


def _write(folder, save, continue_training):
    model = trained()
    save(model)
    golden(folder, model, continue_training)


def write_h5(folder):
    """The whole model in HDF5: architecture, weights, optimizer."""
    _write(folder, lambda t: t.model.save(os.path.join(folder, "model.h5")), True)


def write_h5_weights(folder):
    """Weights alone in HDF5."""
    if KERAS >= (3, 0):
        raise Unsupported("Keras 3 writes weights as .weights.h5 only")
    _write(folder, lambda t: t.model.save_weights(os.path.join(folder, "weights.h5")), False)


def write_weights_h5(folder):
    """The weights format of Keras 3, and of Keras 2 from 2.12."""
    if KERAS < (2, 12):
        raise Unsupported(".weights.h5 as a format of its own came with Keras 2.12; the name gives plain HDF5 here")
    _write(folder, lambda t: t.model.save_weights(os.path.join(folder, "model.weights.h5")), False)


def write_keras_v3(folder):
    """The .keras archive: the whole model."""
    if KERAS < (2, 12):
        raise Unsupported("the .keras archive came with Keras 2.12; the name gives HDF5 here")
    options = {"save_format": "keras_v3"} if KERAS == (2, 12) else {}
    _write(folder, lambda t: t.model.save(os.path.join(folder, "model.keras"), **options), True)


def write_tf_weights(folder):
    """Weights alone in TensorFlow's own format."""
    if KERAS >= (3, 0):
        raise Unsupported("Keras 3 cannot save weights in TensorFlow's format")
    _write(folder, lambda t: t.model.save_weights(os.path.join(folder, "weights"), save_format="tf"), False)


def write_object_checkpoint(folder):
    """tf.train.Checkpoint of the model and its optimizer."""

    def save(study_model):
        checkpoint = tf.train.Checkpoint(model=study_model.model, optimizer=study_model.optimizer)
        checkpoint.write(os.path.join(folder, "checkpoint"))

    _write(folder, save, True)


def write_saved_model(folder):
    """tf.saved_model.save of a Keras model."""
    _write(folder, lambda t: tf.saved_model.save(t.model, os.path.join(folder, "saved_model")), False)


def write_saved_model_keras(folder):
    """Model.save in SavedModel format: Keras's metadata and the optimizer beside it."""
    if KERAS >= (3, 0):
        raise Unsupported("Keras 3 saves no SavedModel by Model.save")
    _write(folder, lambda t: t.model.save(os.path.join(folder, "saved_model"), save_format="tf"), True)


def write_saved_model_export(folder):
    """Model.export: a SavedModel to serve from."""
    if not hasattr(tf.keras.Model, "export"):
        raise Unsupported("Model.export came with Keras 2.13")
    _write(folder, lambda t: t.model.export(os.path.join(folder, "saved_model")), False)


def load_whole(name):
    """A loader of whole models: tf.keras.models.load_model."""

    def load(folder):
        return Trained(tf.keras.models.load_model(os.path.join(folder, name)))

    return load


def load_weights(name):
    """A loader of weights: the model built again, and Model.load_weights."""

    def load(folder):
        model = study.keras_model()
        status = model.load_weights(os.path.join(folder, name))
        if hasattr(status, "assert_existing_objects_matched"):
            status.assert_existing_objects_matched()
        return Trained(model)

    return load


def restore_checkpoint(folder):
    """tf.train.Checkpoint.restore, as the guide to checkpoints shows it."""
    restored = Trained()
    checkpoint = tf.train.Checkpoint(model=restored.model, optimizer=restored.optimizer)
    checkpoint.restore(os.path.join(folder, "checkpoint"))
    return restored


def restore_names(folder):
    """tf.train.Checkpoint.restore of a name-based checkpoint, for which its documentation says that names match."""
    restored = Trained()
    tf.train.Checkpoint(model=restored.model).restore(os.path.join(folder, "model.ckpt"))
    return restored


def load_saved_keras(folder):
    """tf.keras.models.load_model; Keras 3 says to use TFSMLayer, which computes and no more."""
    if KERAS < (3, 0):
        return load_whole("saved_model")(folder)
    layer = tf.keras.layers.TFSMLayer(os.path.join(folder, "saved_model"), call_endpoint="serving_default")

    def predict(inputs):
        outputs = layer(inputs)
        (value,) = outputs.values() if isinstance(outputs, dict) else (outputs,)
        return np.asarray(value)

    return Outputs(predict, [np.asarray(value) for value in layer.weights])
