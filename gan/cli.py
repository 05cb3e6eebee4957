"""Train the GAN in one of the ways to write it, watch it learn, and go on after an interruption.

example:

    python -m gan --mode eager --steps 400 --learning-rate 1e-3 --out run
    python -m gan --mode eager --steps 800 --learning-rate 1e-3 --out run --resume

OUT then holds history.jsonl (python -m gan.plot OUT draws it), checkpoints, and TensorBoard's event files
(tensorboard --logdir OUT).

exit status: 0 trained, 2 wrong usage or setting, 3 no checkpoint or a bad one, 4 a checkpoint of another network,
5 this release cannot do it, 6 OUT holds another run, or none to go on with, 7 a loss is no longer finite,
8 OUT cannot be written, 130 Ctrl-C.
"""

from __future__ import annotations

import argparse
import errno
import os
import sys
import time
import warnings

import checkpoints
from gan.data import REAL_DEVIATION, REAL_MEAN
from gan.history import NAME, NoRun
from gan.modes import MODES, Unsupported, begin, check
from gan.settings import add_options, choose_onednn, from_options
from gan.train import Diverged, train

_STATUSES = (
    (checkpoints.MappingError, 4),
    (checkpoints.CheckpointError, 3),
    (Unsupported, 5),
    (NoRun, 6),
    (Diverged, 7),
    (OSError, 8),
)

#: TensorFlow's own errors when it writes are none of Python's, but have the system's words.
_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS, errno.EFBIG, errno.EIO)


def _parser():
    summary, _, rest = __doc__.partition("\n")
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("python -m gan", description=summary, epilog=rest.strip(), formatter_class=form)
    parser.add_argument("--mode", required=True, choices=sorted(MODES), help="the way of writing it")
    parser.add_argument("--out", required=True, metavar="FOLDER", help="where everything goes")
    parser.add_argument("--resume", action="store_true", help="go on from the newest checkpoint in OUT")
    parser.add_argument("--checkpoint", metavar="FILE", help="begin from the variables of this TensorFlow 1 checkpoint")
    add_options(parser.add_argument_group("settings"))
    return parser


def main(arguments=None):
    """The command; its exit status."""
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        settings = from_options(options)
        check(options.mode, settings)
        if options.resume and options.checkpoint:
            raise ValueError("--resume goes on from the checkpoints in OUT, --checkpoint begins anew: choose one")
    except ValueError as error:
        parser.error(str(error))
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    warnings.simplefilter("ignore")
    try:
        _run(options, settings)
    except KeyboardInterrupt:
        return _fail("stopped" + _how_to_go_on(options), 130)
    except tuple(kind for kind, _ in _STATUSES) as error:
        return _fail(str(error), next(status for kind, status in _STATUSES if isinstance(error, kind)))
    except Exception as error:
        said = next((text for text in map(os.strerror, _DISK) if text in str(error)), None)
        if said is None:
            raise
        return _fail("{} cannot be written: {}".format(options.out, said), 8)
    return 0


def _how_to_go_on(options):
    if not os.path.exists(os.path.join(options.out, NAME)):
        return ""
    return "; the same command with --resume {}goes on".format("in place of --checkpoint " * bool(options.checkpoint))


def _fail(text, status):
    print("python -m gan: " + text, file=sys.stderr)
    return status


def _run(options, settings):
    if options.checkpoint:
        with checkpoints.open_checkpoint(options.checkpoint):  # before TensorFlow's seconds
            pass
    choose_onednn(settings)
    begin(options.mode)
    import tensorflow as tf

    tf.get_logger().setLevel("ERROR")  # what is deprecated is what this is about
    print(
        "{} in TensorFlow {}, real samples: mean {}, deviation {}".format(
            options.mode, tf.__version__, REAL_MEAN, REAL_DEVIATION
        )
    )
    began = time.time()

    def say(row):
        losses = "step {step}/{steps}  losses {d_loss:.3f} {g_loss:.3f}".format(steps=settings.steps, **row)
        text = "  generated: mean {mean:.2f}, deviation {deviation:.2f}, distance {wasserstein:.2f}"
        print(losses + text.format(**row), flush=True)

    train(options.mode, settings, options.out, options.checkpoint, options.resume, say)
    print("trained in {:.1f} s: tensorboard --logdir {}".format(time.time() - began, options.out))
