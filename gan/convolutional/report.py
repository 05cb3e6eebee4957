"""The plots and the tables of docs/eager-collapse.md, on the host, from what `nox -s experiment` has written.

python -m gan.convolutional.report ARTIFACTS IMAGES
"""

from __future__ import annotations

import argparse
import glob
import os

import matplotlib
import numpy as np

from gan.convolutional.experiment import COLLAPSED, MODES, collapsed
from gan.convolutional.settings import PIXELS, TRAINING

matplotlib.use("agg")
from matplotlib import pyplot

#: Drawn in this order, the last on top: lines that coincide are told apart by their dashes.
LINES = {
    "eager": {"color": "#0072b2", "linewidth": 4, "alpha": 0.45},
    "function": {"color": "#009e73", "linewidth": 1.8},
    "static-updates": {"color": "#000000", "linewidth": 1.4, "linestyle": (0, (1, 3))},
    "static": {"color": "#d55e00", "linewidth": 1.4, "linestyle": (0, (5, 4))},
}
LABELS = {
    "eager": "eager",
    "function": "tf.function",
    "static": "static graph",
    "static-updates": "static, updates run",
}
TITLES = {"scaled": "real images in 0…1", "raw": "real images in 0…255", "raw-both": "real and generated × 255"}


def load(folder):
    """{release: {mode/training/pixels/seed/array: values}} of every release that has all modes, the oldest first."""
    found = {}
    for path in glob.glob(os.path.join(folder, "batch-norm-*", "*", "runs.npz")):
        kind, environment = path.split(os.sep)[-3:-1]
        with np.load(path) as arrays:
            runs = found.setdefault(environment.partition("-tf")[2], {})
            runs.update({kind[len("batch-norm-") :] + "/" + name: arrays[name] for name in arrays.files})
    complete = [name for name in found if {run.partition("/")[0] for run in found[name]} == set(MODES)]
    return {name: found[name] for name in sorted(complete, key=lambda name: [int(part) for part in name.split(".")])}


def draw(runs, array, column, rows, columns, title, path, limits=None, level=None, logarithmic=False):
    """Small multiples, `rows` of training by `columns` of pixels: a column of `array` by step, one line a mode."""
    size = (3.5 * len(columns) + 0.4, 2.1 * len(rows) + 1.1)
    figure, axes = pyplot.subplots(len(rows), len(columns), figsize=size, sharex=True, sharey=True, squeeze=False)
    for row, training in zip(axes, rows):
        row[0].set_ylabel("training={}".format(training) if training != "mixed" else "False for D, True for G")
        for axis, pixels in zip(row, columns):
            for mode, line in LINES.items():
                values = runs.get("{}/{}/{}/11/{}".format(mode, training, pixels, array))
                if values is not None:
                    axis.plot(values[:, column], label=LABELS[mode], **line)
            if level is not None:
                axis.axhline(level, color="0.5", linewidth=0.8)
            axis.set_yscale("log" if logarithmic else "linear")
            axis.set_ylim(limits)
            axis.spines[["top", "right"]].set_visible(False)
    for axis, pixels in zip(axes[0], columns):
        axis.set_title(TITLES[pixels], fontsize=10)
    for axis in axes[-1]:
        axis.set_xlabel("step")
    handles = {label: line for line, label in zip(*axes[0][columns.index("raw")].get_legend_handles_labels())}
    figure.suptitle(title, fontsize=11)
    figure.legend(handles.values(), handles.keys(), loc="lower center", ncol=4, frameon=False, handlelength=3.5)
    figure.tight_layout(rect=(0, 0.05, 1, 1))
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def span(values, form="{:.3f}"):
    """The smallest and the largest of `values`, once if they read the same."""
    low, high = form.format(min(values)), form.format(max(values))
    return low if low == high else "{} … {}".format(low, high)


def values_of(found, mode, training, pixels, array):
    """That array of every release and seed."""
    prefix = "{}/{}/{}/".format(mode, training, pixels)
    return [runs[name] for runs in found.values() for name in runs if name.startswith(prefix) and name.endswith(array)]


def outcome(found, mode, training, pixels):
    """The discriminator's median loss at the end and, where it has, in how many runs it has collapsed."""
    losses = [values[:, 0] for values in values_of(found, mode, training, pixels, "/losses")]
    if not losses:
        return "-"
    text, fell = span([np.median(values[-len(values) // 10 :]) for values in losses]), sum(map(collapsed, losses))
    return "**{}**, {} of {}".format(text, fell, len(losses)) if fell else text


def outcomes(found):
    """Markdown: per choice, the discriminator's loss in every mode, and the distances by either kind of statistics."""
    heads = [LABELS[mode] for mode in LINES] + ["distance", "by moving statistics", "the same, static graph"]
    lines = ["| `training` | pixels | " + " | ".join(heads) + " |", "|---" * (2 + len(heads)) + "|"]
    for training in TRAINING:
        for pixels in PIXELS:
            cells = [training, pixels] + [outcome(found, mode, training, pixels) for mode in LINES]
            for mode, place in (("function", 1), ("function", 2), ("static", 2)):
                distances = values_of(found, mode, training, pixels, "/distance")
                cells.append(span([values[place] for values in distances], "{:.2f}"))
            lines.append("| {} |".format(" | ".join(cells)))
    return "\n".join(lines)


def agreement(found):
    """Markdown: the largest difference of any loss from tf.function's of the same release, within 10 steps and all."""
    others = [mode for mode in LINES if mode != "function"]
    lines = ["| `training` | steps | " + " | ".join(LABELS[mode] for mode in others) + " |"]
    lines.append("|---" * (2 + len(others)) + "|")
    for training in TRAINING:
        apart = {mode: [differences(runs, mode, training) for runs in found.values()] for mode in others}
        for place, steps in enumerate(("first 10", "all")):
            cells = [span([both[place] for both in apart[mode]], "{:.1e}") for mode in others]
            lines.append("| {} | {} | {} |".format(training, steps, " | ".join(cells)))
    return "\n".join(lines)


def differences(runs, mode, training):
    """Of one release: the largest difference from tf.function within 10 steps, and within all."""
    prefix = "{}/{}/".format(mode, training)
    names = [name for name in runs if name.startswith(prefix) and name.endswith("/losses")]
    pairs = [np.abs(runs[name] - runs["function" + name[len(mode) :]]) for name in names]
    return max(pair[:10].max() for pair in pairs), max(pair.max() for pair in pairs)


def main():
    """The command line above: writes the plots of the newest release, prints the tables of all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("artifacts")
    parser.add_argument("images")
    options = parser.parse_args()
    found = load(options.artifacts)
    if not found:
        raise SystemExit("nothing to report in {}: nox -s experiment writes it".format(options.artifacts))
    newest = list(found)[-1]
    os.makedirs(options.images, exist_ok=True)
    path = os.path.join(options.images, "eager-collapse-losses.png")
    title = "The discriminator's loss, TensorFlow {} (grey: collapsed below {})".format(newest, COLLAPSED)
    draw(found[newest], "losses", 0, list(TRAINING), list(PIXELS), title, path, (0.015, 4), COLLAPSED, True)
    path = os.path.join(options.images, "eager-collapse-statistics.png")
    title = "The discriminator's moving variance, TensorFlow {}".format(newest)
    draw(found[newest], "statistics", 1, list(TRAINING), ["scaled", "raw"], title, path)
    print("TensorFlow " + ", ".join(found), outcomes(found), agreement(found), sep="\n\n")


if __name__ == "__main__":
    main()
