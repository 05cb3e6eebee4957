"""Train the convolutional GAN every way, with every choice that may matter, and measure.

    python -m gan.convolutional.experiment MODE OUT.npz [--training True] [--pixels raw] [--seeds 11 12] [--steps 200]

One process a mode: eager execution in TensorFlow 1 is switched on before anything else, for good.
"""

from __future__ import annotations

import argparse
import importlib
import itertools
import os
import tempfile

import numpy as np

from gan.child import run_python
from gan.convolutional.data import batches, distance, latent_points, real_images
from gan.convolutional.settings import PIXELS, TRAINING, Settings

MODES = {
    "eager": ("eager", "EagerGAN"),
    "function": ("function", "FunctionGAN"),
    "static": ("static_graph", "StaticGraphGAN"),
    "static-updates": ("static_graph", "UpdatedStaticGraphGAN"),
}

#: The discriminator has collapsed when its median loss over the last tenth of the steps is below this: it is then
#: 97.5 % sure of the real images and of the generated ones. One that can tell nothing has 2 ln 2 = 1.39.
COLLAPSED = 0.05

#: What the experiment trains in each mode: TRAINING x these PIXELS, from these seeds. Modes that agree to rounding need
#: no seeds of their own, and an eager step takes as long as ten of the others.
DESIGN = {
    "eager": (("raw",), (11,)),
    "function": (tuple(PIXELS), (11, 12, 13)),
    "static": (tuple(PIXELS), (11,)),
    "static-updates": (tuple(PIXELS), (11,)),
}


def train(mode, settings):
    """What one run saw, by name, as arrays.

    losses (steps, 2), of the discriminator and the generator; statistics (steps + 1, 2), the discriminator's moving
    mean and variance, averaged over the channels; distance (3,), from real images: before training, after it, and
    after it by the moving statistics; and every variable at the end.
    """
    module, name = MODES[mode]
    with getattr(importlib.import_module("gan.convolutional." + module), name)(settings) as gan:
        random = np.random.RandomState(99)
        real, z = real_images(random, 512), latent_points(random, 512)
        statistics, losses = [gan.statistics()], []
        before = distance(gan.generate(z, training=True), real)
        for batch in batches(settings):
            losses.append(gan.step(*batch))
            statistics.append(gan.statistics())
        after = [distance(gan.generate(z, training=training), real) for training in (True, False)]
        weights = gan.weights()
    return dict(
        weights,
        losses=np.array(losses),
        statistics=np.array([[value.mean() for value in step] for step in statistics]),
        distance=np.array([before] + after),
    )


def collapsed(losses):
    """Whether the discriminator has collapsed, from its losses, step by step."""
    return bool(np.median(losses[-max(1, len(losses) // 10) :]) < COLLAPSED)


def label(settings):
    """How a run is called in an archive: training/pixels/seed."""
    return "{}/{}/{}".format(settings.training, settings.pixels, settings.seed)


def train_all(mode, training=tuple(TRAINING), pixels=None, seeds=None, steps=Settings.steps):
    """{label/array: values} of every combination, by default those of DESIGN, trained in a process of its own."""
    pixels, seeds = pixels or DESIGN[mode][0], seeds or DESIGN[mode][1]
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "runs.npz")
        arguments = [mode, out, "--steps", str(steps)]
        for option, values in (("--training", training), ("--pixels", pixels), ("--seeds", seeds)):
            arguments += [option] + [str(value) for value in values]
        run_python("gan.convolutional.experiment", arguments, "trains " + mode)
        with np.load(out) as arrays:
            return {name: arrays[name] for name in arrays.files}


def run(mode, settings):
    """`train`, in a process of its own only where eager execution asks for it."""
    import tensorflow as tf

    if mode not in ("eager", "function") or tf.executing_eagerly():
        return train(mode, settings)
    found = train_all(mode, [settings.training], [settings.pixels], [settings.seed], settings.steps)
    return {name[len(label(settings)) + 1 :]: values for name, values in found.items()}


def main():
    """The command line above."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("mode", choices=sorted(MODES))
    parser.add_argument("out")
    parser.add_argument("--training", nargs="+", choices=list(TRAINING), default=list(TRAINING))
    parser.add_argument("--pixels", nargs="+", choices=list(PIXELS), default=list(PIXELS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[11])
    parser.add_argument("--steps", type=int, default=Settings.steps)
    options = parser.parse_args()
    if options.steps < 1:
        parser.error("--steps must be at least 1, not {}".format(options.steps))
    if options.mode in ("eager", "function"):
        import tensorflow as tf

        tf.compat.v1.enable_eager_execution()
    found = {}
    for chosen in itertools.product(options.training, options.pixels, options.seeds):
        settings = Settings(*chosen, steps=options.steps)
        for name, values in train(options.mode, settings).items():
            found["{}/{}".format(label(settings), name)] = values
    np.savez(options.out, **found)


if __name__ == "__main__":
    main()
