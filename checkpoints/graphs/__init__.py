"""Graphs of TensorFlow, read without it, and what they say of the layers that the variables belong to."""
