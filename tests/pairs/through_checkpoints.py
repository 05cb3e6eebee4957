"""A file of any kind into the study's Keras model, through checkpoints/."""

from __future__ import annotations

import os

import tensorflow as tf

import checkpoints
from gan import study
from tests.pairs.keras_formats import Trained


def load_through_checkpoints(pair, with_optimizer):
    """The model and, where the writer trained on, its optimizer, with everything from the file of `pair`."""
    model = study.keras_model()
    variables = checkpoints.model_variables({study.NAME: model})
    # TensorFlow 1's Adam has another epsilon than Keras's, and no file of its says so.
    epsilon = 1e-8 if pair["kind"].startswith("saver") else 1e-7
    optimizer = tf.keras.optimizers.Adam(study.LEARNING_RATE, epsilon=epsilon)
    with checkpoints.open_checkpoint(os.path.join(pair["folder"], pair["file"])) as source:
        plan = checkpoints.make_plan(source, variables)
        checkpoints.load(plan, source, variables)
        if with_optimizer:
            checkpoints.load_optimizer(plan, source, optimizer, variables)
    return Trained(model, optimizer)
