"""Nothing in the repository reads files in a way that could run what is in them, but for a short list with reasons."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

MODULES = {"pickle", "_pickle", "cPickle", "cloudpickle", "dill", "joblib", "jsonpickle", "marshal", "shelve", "yaml"}
"""Modules that are not imported."""
BUILTINS = {"__import__", "compile", "eval", "exec"}
"""Functions that are not called."""
FUNCTIONS = {
    "NpzFile",
    "export.load",
    "fromfile",
    "genfromtxt",
    "hub.load",
    "import_module",
    "jit.load",
    "load_source",
    "loadtxt",
    "np.load",
    "numpy.load",
    "os.popen",
    "os.system",
    "read_array",
    "run_path",
    "subprocess",
    "torch.load",
    "unpack_archive",
}
"""Functions that are not called, by the last parts of the name: they unpickle, import or start what a file names."""

ALLOWED = {
    ("ganframe/__init__.py", "import_module"): "names of its own, so that importing it stays light",
    (
        "ganframe/data/npz_files.py",
        "NpzFile",
    ): "with allow_pickle=False; the one place that reads archives",
    ("ganframe/testing/components.py", "subprocess"): "looks in a fresh interpreter at what a plugin imports",
    ("ganframe/testing/data.py", "pickle"): "what it pickled itself, as loader workers do",
    ("kernels/src/ganframe_kernels/bench/nvidia.py", "import_module"): "code of NVIDIA, where a benchmark is told to",
    ("kernels/src/ganframe_kernels/launch.py", "subprocess"): "asks a compiler's tool about a kernel",
    ("kernels/src/ganframe_kernels/testing.py", "subprocess"): "compiles kernels in an interpreter of their own",
    (
        "plugins/datasets/ganframe-fluent-emoji/scripts/make_data.py",
        "np.load",
    ): "with allow_pickle=False, for its author",
    ("scripts/gpu.py", "subprocess"): "starts the tests that need a GPU",
}
"""Where one of them is needed, and why that is safe."""


def sources() -> list[Path]:
    """The Python files that are not tests."""
    found = (path for folder in ("ganframe", "kernels", "plugins", "scripts") for path in (ROOT / folder).rglob("*.py"))
    return [path.relative_to(ROOT) for path in found if "tests" not in path.parts]


def dotted(node: ast.AST) -> str:
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def found(tree: ast.AST) -> Iterator[str]:
    """The forbidden things that a module does."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ({each.name.partition(".")[0] for each in node.names} & MODULES)
        elif isinstance(node, ast.ImportFrom):
            yield from ({(node.module or "").partition(".")[0]} & MODULES)
        elif isinstance(node, ast.Call):
            name = dotted(node.func)
            if name in BUILTINS:
                yield name
            yield from (
                each for each in FUNCTIONS if f".{name}.".endswith(f".{each}.") or f".{name}".startswith(f".{each}.")
            )
            if name == "YAML" and any(keyword.arg == "typ" for keyword in node.keywords):
                yield "YAML(typ)"
            if any(each.arg == "allow_pickle" and getattr(each.value, "value", True) for each in node.keywords):
                yield "allow_pickle"
            if any(each.arg == "weights_only" for each in node.keywords):
                yield "weights_only"


def test_nothing_runs_what_is_in_a_file() -> None:
    seen = {
        (str(path), what) for path in sources() for what in found(ast.parse((ROOT / path).read_text(encoding="utf-8")))
    }
    assert sorted(seen - ALLOWED.keys()) == []
    assert sorted(ALLOWED.keys() - seen) == [], "no longer needed"


def test_the_rule_sees_what_it_forbids() -> None:
    forbidden = {
        "import pickle": "pickle",
        "from yaml import unsafe_load": "yaml",
        "eval(text)": "eval",
        "torch.load(file)": "torch.load",
        "np.load(file)": "np.load",
        "np.lib.npyio.NpzFile(file)": "NpzFile",
        "np.lib.format.read_array(file)": "read_array",
        "torch.jit.load(file)": "jit.load",
        "torch.hub.load(file)": "hub.load",
        "torch.export.load(file)": "export.load",
        "subprocess.check_output(command)": "subprocess",
        "importlib.import_module(name)": "import_module",
        "YAML(typ='unsafe')": "YAML(typ)",
        "np.load(file, allow_pickle=True)": "allow_pickle",
        "read(file, weights_only=True)": "weights_only",
    }
    for line, what in forbidden.items():
        assert what in set(found(ast.parse(line))), line
    assert set(found(ast.parse("network.eval(); config.load(file); re.compile(pattern); torch.compile(f)"))) == set()
