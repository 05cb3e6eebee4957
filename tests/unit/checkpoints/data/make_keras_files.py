"""Makes keras_VERSION*.h5 beside this file: recurrent and hard-sigmoid layers of the Keras that runs it.

`.weights` has the weights alone, which say only the version; `.npz` what the models compute. Run with the Keras of
TensorFlow 1.15, and with Keras 2.2.4 (pip install keras==2.2.4 tensorflow==1.15.5 "h5py<3" "protobuf<3.21"):

python tests/unit/checkpoints/data/make_keras_files.py [--standalone]
"""

import os
import sys

import numpy as np

if "--standalone" in sys.argv:
    import keras
else:
    from tensorflow import keras

HERE = os.path.dirname(os.path.abspath(__file__))


def main():
    layers = keras.layers
    x = inputs = keras.layers.Input((5, 3))
    x = layers.LSTM(2, return_sequences=True, name="memory", bias_initializer="random_uniform")(x)
    x = layers.Conv1D(3, 2, activation="hard_sigmoid", padding="same", name="window")(x)
    x = layers.BatchNormalization(epsilon=0.01, name="norm")(x)
    x = layers.GRU(2, return_sequences=True, name="summary")(x)
    x = layers.TimeDistributed(layers.Dense(2, name="inner"), name="each")(x)
    outputs = layers.Activation("relu", name="cut")(x)
    model = keras.models.Model(inputs, outputs)
    random = np.random.RandomState(3)
    # A variance is positive, and so are all biases here.
    shapes = [weight.shape for weight in model.get_weights()]
    model.set_weights([random.uniform(-0.9 if len(shape) > 1 else 0.1, 0.9, shape) for shape in shapes])
    path = os.path.join(HERE, "keras_" + ("2.2.4" if "--standalone" in sys.argv else "1.15_recurrent"))
    model.save(path + ".h5")
    model.save_weights(path + ".weights.h5")
    given = random.standard_normal((2, 5, 3)).astype("f4")
    np.savez_compressed(path + ".npz", inputs=given, outputs=model.predict(given))


if __name__ == "__main__":
    main()
