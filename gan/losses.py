"""The losses of both networks, from logits; the same ops in a graph, eagerly and in tf.function."""

from __future__ import annotations

import tensorflow as tf


def cross_entropy(logits, label):
    """The mean sigmoid cross-entropy of `logits` against `label` (0 or 1) everywhere."""
    labels = tf.fill(tf.shape(logits), float(label))
    return tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(labels=labels, logits=logits))


def discriminator_loss(real_logits, fake_logits):
    """Real samples should be called real, generated ones generated."""
    return cross_entropy(real_logits, 1) + cross_entropy(fake_logits, 0)


def generator_loss(fake_logits):
    """Generated samples should be called real: the non-saturating form."""
    return cross_entropy(fake_logits, 1)
