"""Is this environment what its row and its lock say it is?"""

from __future__ import annotations

import os
import re
import sys

try:
    from importlib import metadata
except ImportError:  # Python 3.7, where pytest brings the backport
    import importlib_metadata as metadata


def canonical(name):
    """A distribution's name as PEP 503 normalizes it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def test_what_is_installed_is_what_the_lock_says(environment, record_property):
    with open(environment["lock"]) as file:
        locked = dict(re.findall(r"^([A-Za-z0-9][\w.-]*)==([^\s\\;]+)", file.read(), re.MULTILINE))
    installed = {canonical(d.metadata["Name"]): d.version for d in metadata.distributions()}
    record_property("distributions", len(installed))
    assert installed == {canonical(name): version for name, version in locked.items()}


def test_tensorflow_and_python_are_the_rows_own(environment, record_property):
    import tensorflow as tf

    assert tf.__version__ == environment["tensorflow"]
    assert "%d.%d" % sys.version_info[:2] == environment["python"]
    home = os.path.dirname(os.path.dirname(os.path.realpath(tf.__file__)))
    assert home.startswith(os.path.realpath(sys.prefix)), "tensorflow comes from outside the environment: " + home
    keras = getattr(tf.keras, "__version__", None) or metadata.version("keras")  # 2.13 to 2.15 do not say
    assert int(keras.split(".")[0]) == environment["keras"]
    record_property("keras", keras)
