"""Is this environment what its row and its lock say it is?"""

from __future__ import annotations

import ast
import importlib
import os
import re
import subprocess
import sys

import pytest

try:
    from importlib import metadata
except ImportError:  # Python 3.7, where pytest brings the backport
    import importlib_metadata as metadata

#: What uv puts into every virtual environment itself.
OF_UV = {"_virtualenv.py", "_virtualenv.pth", "__pycache__"}


def canonical(name):
    """A distribution's name as PEP 503 normalizes it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def site_packages():
    """The folder that the lock was installed into."""
    return os.path.join(sys.prefix, "lib", "python%d.%d" % sys.version_info[:2], "site-packages")


def is_empty(name):
    """Some wheels bring folders with nothing in them, which no list of files can name."""
    folder = os.path.join(site_packages(), name)
    return os.path.isdir(folder) and not os.listdir(folder)


@pytest.fixture(scope="module")
def path():
    """sys.path as a fresh interpreter has it: setuptools, once imported, adds to it what it has inside."""
    words = [sys.executable, "-c", "import sys; print(*map(repr, sys.path), sep='\\n')"]
    lines = subprocess.check_output(words, universal_newlines=True).splitlines()
    return [os.path.realpath(ast.literal_eval(line)) for line in lines]


@pytest.fixture(scope="module")
def locked(environment):
    """{distribution: version} as the lock says."""
    with open(environment["lock"]) as file:
        pins = re.findall(r"^([A-Za-z0-9][\w.-]*)==([^\s\\;]+)", file.read(), re.MULTILINE)
    return {canonical(name): version for name, version in pins}


def test_what_is_installed_is_what_the_lock_says(environment, locked, path, record_property):
    # An image that has TensorFlow already has other distributions too: the lock is what was added to it.
    places = [site_packages()] if environment["base"] else path
    installed = {canonical(d.metadata["Name"]): d.version for d in metadata.distributions(path=places)}
    record_property("distributions", len(installed))
    assert installed == locked


def test_versions_are_the_rows_own(environment, locked, record_property):
    """Asked of the modules themselves: what is imported need not be what the metadata describes."""
    assert "%d.%d" % sys.version_info[:2] == environment["python"]
    import numpy as np

    assert np.__version__ == locked.get("numpy", np.__version__)
    if environment["tensorflow"]:
        import tensorflow as tf

        assert tf.__version__ == environment["tensorflow"]
        home = os.path.dirname(os.path.dirname(os.path.realpath(tf.__file__)))
        inside = environment["base"] or home.startswith(os.path.realpath(sys.prefix))
        assert inside, "tensorflow comes from outside the environment: " + home
        keras = tf.keras
    else:
        with pytest.raises(ImportError):
            importlib.import_module("tensorflow")
        import keras

        assert keras.backend.backend() == environment["env"]["KERAS_BACKEND"]
    package = "tf-keras" if environment["keras"] == 2 and "tf-keras" in locked else "keras"
    version = getattr(keras, "__version__", None) or metadata.version(package)  # 2.13 to 2.15 do not say
    record_property("keras", version)
    record_property("numpy", np.__version__)
    assert int(version.split(".")[0]) == environment["keras"]
    assert version == locked.get(package, version)  # before 2.6 Keras is a part of TensorFlow


def test_nothing_else_is_on_the_path(environment, path):
    """Neither a folder of the caller's or the system's, nor a module in site-packages that no distribution owns."""
    if environment["base"]:
        pytest.skip("unsupported: the packages of the image it stands on are in sight, TensorFlow among them")
    sources = os.path.realpath(os.getcwd())
    standard = os.path.realpath(os.path.dirname(os.__file__))
    allowed = {sources, standard, os.path.realpath(site_packages())}
    allowed |= {
        os.path.join(standard, "lib-dynload"),
        os.path.dirname(standard) + "/python%d%d.zip" % sys.version_info[:2],
    }
    foreign = set(path) - allowed
    assert not foreign, "on sys.path: " + ", ".join(sorted(foreign))

    owned = set(OF_UV)
    for distribution in metadata.distributions(path=[site_packages()]):
        owned |= {row.partition("/")[0].partition(",")[0] for row in distribution.read_text("RECORD").splitlines()}
    strays = {name for name in set(os.listdir(site_packages())) - owned if not is_empty(name)}
    assert not strays, "no distribution owns " + ", ".join(sorted(strays))
