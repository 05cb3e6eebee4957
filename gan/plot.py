"""Draw the histories of training runs: losses, and how the generated samples approach the real ones.

    python -m gan.plot RUN [RUN ...] --out FOLDER

RUN is a folder with a history.jsonl, or such a file; each gives one FOLDER/NAME.svg, named after the folder of the run.
Needs matplotlib, which nothing else here does: `nox -s plots` has it.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys

from gan import history


def draw(run, path):
    """Write the picture of the run in the folder `run` to `path`. Raises history.NoRun."""
    from matplotlib.figure import Figure

    head, rows = history.read(run)
    if len(rows) < 2:
        raise history.NoRun("{} has nothing to draw yet".format(run))
    figure = Figure(figsize=(11, 6.5), layout="constrained")
    losses, distance, last, over_time = figure.subplots(2, 2).ravel()
    text = "{mode} in TensorFlow {tensorflow}, learning rate {rate:g}, batch {batch}"
    settings = head["settings"]
    figure.suptitle(text.format(rate=settings["learning_rate"], batch=settings["batch"], **head))
    _draw_losses(losses, rows)
    _draw_distance(distance, rows, head)
    _draw_last(last, rows, head)
    _draw_over_time(figure, over_time, rows, head)
    figure.savefig(path)


def _draw_losses(axes, rows):
    steps = [row["step"] for row in rows[1:]]
    axes.plot(steps, [row["d_loss"] for row in rows[1:]], marker=".", label="discriminator")
    axes.plot(steps, [row["g_loss"] for row in rows[1:]], marker=".", label="generator")
    axes.set(title="losses", xlabel="step")
    axes.legend()


def _draw_distance(axes, rows, head):
    steps = [row["step"] for row in rows]
    for name in ("wasserstein", "mean", "deviation"):
        axes.plot(steps, [row[name] for row in rows], marker=".", label=name)
    for name, color in (("mean", "C1"), ("deviation", "C2")):
        axes.axhline(_moments(head)[name], color=color, linestyle=":", linewidth=1)
    axes.set(title="generated samples (dotted: real ones)", xlabel="step")
    axes.legend()


def _moments(head):
    """The moments of the real samples, from their histogram."""
    centers = [(a + b) / 2 for a, b in zip(head["edges"], head["edges"][1:])]
    total = sum(head["real"])
    mean = sum(x * n for x, n in zip(centers, head["real"])) / total
    return {"mean": mean, "deviation": (sum((x - mean) ** 2 * n for x, n in zip(centers, head["real"])) / total) ** 0.5}


def _draw_last(axes, rows, head):
    axes.stairs(head["real"], head["edges"], fill=True, color="0.8", label="real")
    for row in (rows[0], rows[len(rows) // 2], rows[-1]):
        axes.stairs(row["generated"], head["edges"], label="generated, step {}".format(row["step"]))
    axes.set(title="histograms", xlabel="sample", ylabel="count")
    axes.legend()


def _draw_over_time(figure, axes, rows, head):
    steps = [row["step"] for row in rows]
    edges = [steps[0]] + [(a + b) / 2 for a, b in zip(steps, steps[1:])] + [steps[-1]]
    counts = list(zip(*(row["generated"] for row in rows)))
    image = axes.pcolormesh(edges, head["edges"], counts, cmap="viridis", vmax=1.5 * max(head["real"]), rasterized=True)
    figure.colorbar(image, ax=axes, label="count")
    mean, deviation = (_moments(head)[name] for name in ("mean", "deviation"))
    for line in (mean - deviation, mean, mean + deviation):
        axes.axhline(line, color="white", linestyle=":", linewidth=1)
    axes.set(title="generated over time (dotted: real mean ± deviation)", xlabel="step", ylabel="sample")


def names(folders):
    """A name for each of `folders`: its own, or with those above it where two have the same."""
    paths = [os.path.abspath(folder) for folder in folders]
    own = [os.path.basename(path) for path in paths]
    if len(set(own)) == len(set(paths)):
        return own
    common = os.path.commonpath(paths)
    return [os.path.relpath(path, common).replace(os.sep, "-") for path in paths]


def main(arguments=None):
    """The command; its exit status: 0, 5 without matplotlib, 6 if a RUN is none."""
    parser = argparse.ArgumentParser("python -m gan.plot", description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="+", metavar="RUN")
    parser.add_argument("--out", default=".", metavar="FOLDER")
    options = parser.parse_args(arguments)
    if importlib.util.find_spec("matplotlib") is None:
        print("python -m gan.plot: matplotlib is not here: pip install matplotlib, or nox -s plots", file=sys.stderr)
        return 5
    os.makedirs(options.out, exist_ok=True)
    folders = [os.path.dirname(run) if os.path.basename(run) == history.NAME else run for run in options.runs]
    for folder, name in zip(folders, names(folders)):
        path = os.path.join(options.out, name + ".svg")
        try:
            draw(folder, path)
        except history.NoRun as error:
            print("python -m gan.plot: {}".format(error), file=sys.stderr)
            return 6
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
