"""How far a network of the pairs is trained; apart from what trains it, so that TensorFlow is not needed to know."""

STEPS = 5  # before the file is written
CONTINUED = 3  # after it
