"""Finds and loads the function: which module, which attribute, with which environment variables."""

import importlib
import importlib.machinery
import importlib.util
import os
import sys
import time
import traceback

HOME = os.path.dirname(os.path.abspath(__file__))
# Names a module has by itself; not offered to someone who asked for one that is not there.
SHOWN_NAMES = 20


class LoadError(Exception):
    """The code has no such function. The text is for the user."""


def set_variables(variables):
    """The function's own environment variables, before any of its code runs."""
    if not all(isinstance(value, str) for value in variables.values()):
        raise TypeError("env must be names with strings")
    os.environ.update(variables)
    if "TZ" in variables:
        time.tzset()


def load_function(path, entry):
    """The function at `path` (a file or a directory) that `entry` names: nothing, `f`, or `a.b.f`."""
    if not os.path.exists(path):
        raise LoadError(f"there is no code at {path}")
    module_name, _, name = (entry or "").rpartition(".")
    name = name or "main"
    if os.path.isdir(path):
        module = _from_directory(path, module_name or "main")
    else:
        module = _from_file("user", path)
    function = getattr(module, name, None)
    if callable(function):
        return function
    names = sorted(key for key, value in vars(module).items() if callable(value) and not key.startswith("_"))
    has = f"it has {', '.join(names[:SHOWN_NAMES])}" if names else "it defines no function"
    raise LoadError(f"{getattr(module, '__file__', path)} has no function {name}; {has}")


def _from_file(name, path):
    loader = importlib.machinery.SourceFileLoader(name, path)
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(name, loader))
    sys.modules[name] = module
    try:
        loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _from_directory(folder, module_name):
    # After the standard library, which a function's files must not replace, and before this server's own packages.
    if folder not in sys.path:
        sys.path.insert(len(sys.path) - 1, folder)
    importlib.invalidate_caches()
    top = module_name.partition(".")[0]
    spec = importlib.machinery.PathFinder.find_spec(top, [folder])
    if spec is None:
        files = sorted(os.listdir(folder))
        raise LoadError(f"there is no module {top} in the package; it has {', '.join(files[:SHOWN_NAMES]) or 'no files'}")
    # The entry point is the function's own file even where the standard library has a module of that name.
    if spec.loader is not None:
        module = importlib.util.module_from_spec(spec)
        sys.modules[top] = module
        try:
            spec.loader.exec_module(module)
        except BaseException:
            sys.modules.pop(top, None)
            raise
    return importlib.import_module(module_name)


def explain(error):
    """The error as the user should read it: with file and line, without this server's own frames."""
    if isinstance(error, LoadError):
        return str(error)
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not frame.filename.startswith((HOME, "<frozen importlib"))]
    lines = ["Traceback (most recent call last):\n"] + traceback.format_list(own) if own else []
    return "".join(lines + traceback.format_exception_only(type(error), error)).rstrip()
