"""The subject's TensorFlow 1 source, and packages that stand in the place of its own: what the upgrade cells use."""

from __future__ import annotations

import ast
import collections
import contextlib
import importlib
import os
import re
import shutil
import sys

import gan

ROOT = os.path.dirname(os.path.abspath(gan.__file__))
MODES = ["static_graph", "monitored_session"]


def write_tf1_source(folder):
    """Write the package `gan` as TensorFlow 1 has it to `folder`/gan: MODES and all that they import of it.

    The project's own imports `tensorflow.compat.v1` as tf, which runs in TensorFlow 2 as well. A user of TensorFlow 1
    has `import tensorflow as tf`, and only that line is changed.
    """
    os.makedirs(os.path.join(folder, "gan"))
    waiting, written = ["__init__"] + MODES, set()
    while waiting:
        module = waiting.pop()
        if module in written:
            continue
        written.add(module)
        with open(os.path.join(ROOT, module + ".py"), encoding="utf-8") as file:
            text = file.read()
        waiting += re.findall(r"^\s*from gan(?:\.| import )(\w+)", text, re.MULTILINE)
        text = re.sub(r"^import tensorflow\.compat\.v1 as tf$", "import tensorflow as tf", text, flags=re.MULTILINE)
        with open(os.path.join(folder, "gan", module + ".py"), "w", encoding="utf-8") as file:
            file.write(text)


def texts(folder):
    """{file name: its text} of the package `folder`/gan."""
    found = {}
    for name in sorted(os.listdir(os.path.join(folder, "gan"))):
        if name.endswith(".py"):
            with open(os.path.join(folder, "gan", name), encoding="utf-8") as file:
                found[name] = file.read()
    return found


def missing_names(folder):
    """Counter of the names below `tf` that the package `folder`/gan uses and this TensorFlow does not have.

    TensorFlow 2 has tf.summary.scalar and its kin, as other functions, which add nothing to a graph's collection of
    summaries: those it does not have either.
    """
    import tensorflow as tf

    other = () if tf.__version__.startswith("1.") else ("tf.summary.",)
    names = (name for text in texts(folder).values() for name in used_names(ast.parse(text)))
    return collections.Counter(name for name in names if name.startswith(other) or not resolves(tf, name))


def used_names(tree):
    """Every use of a name below tf in `tree`, whole: tf.layers.dense is not a use of tf.layers too."""
    inner = set()
    for node in ast.walk(tree):  # which comes to what is inside later
        if isinstance(node, ast.Attribute):
            inner.add(node.value)
            if node not in inner and dotted(node):
                yield dotted(node)


def dotted(node):
    """`tf.a.b` if `node` is the use of a name below tf, else None."""
    parts = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return ".".join(["tf"] + parts[::-1]) if parts and isinstance(node, ast.Name) and node.id == "tf" else None


def resolves(tf, name):
    """Whether `name`, such as tf.layers.dense, is there."""
    found = tf
    for part in name.split(".")[1:]:
        if not hasattr(found, part):
            return False
        found = getattr(found, part)
    return True


def edit_by_hand(source, folder, names):
    """Copy the package `source`/gan to `folder`/gan with the `names` below tf taken from tf.compat.v1."""
    shutil.copytree(os.path.join(source, "gan"), os.path.join(folder, "gan"))
    for file_name, text in texts(folder).items():
        for name in names:
            text = re.sub(r"\b" + re.escape(name) + r"\b", name.replace("tf.", "tf.compat.v1.", 1), text)
        with open(os.path.join(folder, "gan", file_name), "w", encoding="utf-8") as file:
            file.write(text)


@contextlib.contextmanager
def in_place_of_ours(folder):
    """Within, `gan` is the package `folder`/gan and nothing of the project's own."""
    ours = {name: sys.modules.pop(name) for name in list(sys.modules) if name.split(".")[0] == "gan"}
    sys.path.insert(0, folder)
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path.remove(folder)
        for name in [name for name in sys.modules if name.split(".")[0] == "gan"]:
            del sys.modules[name]
        sys.modules.update(ours)
