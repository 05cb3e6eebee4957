"""A small convolutional GAN with batch normalization, three ways: eager, under tf.function, a static graph.

It exists for one question, which docs/eager-collapse.md answers: why did such a GAN fail eagerly and work as a graph?
"""
