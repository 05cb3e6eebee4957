"""Makes weights_keras2.weights.h5 (TensorFlow 2.15) or weights_keras3.weights.h5 (2.16 on): see test_weight_files.py.

python -m tests.unit.checkpoints.data.make_weight_files
"""

import os

from tests.unit.checkpoints.test_weight_files import keras, scrambled, stack

if __name__ == "__main__":
    name = "weights_keras{}.weights.h5".format(3 if hasattr(keras, "version") else 2)
    scrambled(stack()).save_weights(os.path.join(os.path.dirname(os.path.abspath(__file__)), name))
