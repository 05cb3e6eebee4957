"""Makes the graph of a network in use of one that was saved in training.

Works on NodeDefs, as protocol buffers have them, and imports no TensorFlow. In reading order: `body` (nodes that can be
looked at and changed), `scalars`, `dropout`, `batch_norm`, `random_ops`, `sources`, `placeholders`, `outputs`.
"""
