"""Reads a module's syntax tree and says which rule of the house it breaks. Nothing is imported or run.

The arrows: train -> dicom_ai -> models; inside dicom_ai: cli -> service -> workflow -> stages -> base. A stage never
imports another stage. `tests/unit/test_architecture.py` applies the rules to this repository and to wrong snippets.
"""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ("dicom_ai", "models", "train")

_VALUES = (
    "charset", "inflate", "instance", "finding", "kept", "mapping", "reasons", "seekable", "errors", "points",
    "ports", "settings", "site",
)  # fmt: skip
BASE = {f"dicom_ai.{name}" for name in _VALUES}
OBSERVE = {f"dicom_ai.{name}" for name in ("log", "metrics", "audit")}
EDGES = ("receive", "store", "deliver", "archive")
TORCH_FREE = tuple(f"dicom_ai.{stage}" for stage in ("receive", "store", "crop", "report", "deliver", "archive"))

MAY_IMPORT: dict[str, set[str]] = {  # the longest matching prefix decides what of ours a module may import
    "models": {"models"},
    "models.card": set(),
    **dict.fromkeys(BASE, BASE),
    **dict.fromkeys(OBSERVE, BASE | OBSERVE),
    "dicom_ai.reasons": set(),
    "dicom_ai.errors": {"dicom_ai.reasons"},
    "dicom_ai.points": set(),
    "dicom_ai.charset": set(),
    "dicom_ai.instance": {"dicom_ai.errors"},
    "dicom_ai.kept": {"dicom_ai.errors"},
    "dicom_ai.mapping": {"dicom_ai.kept"},
    "dicom_ai.finding": {"dicom_ai.errors"},
    "dicom_ai.crop": BASE | {"dicom_ai.crop"},
    "dicom_ai.report": BASE | {"dicom_ai.report", "models.card"},
    **{f"dicom_ai.{edge}": BASE | OBSERVE | {f"dicom_ai.{edge}"} for edge in EDGES},
    "dicom_ai.classify": BASE | OBSERVE | {"dicom_ai.classify", "models"},
    "dicom_ai.simulate": BASE | {"dicom_ai.simulate"},
    "dicom_ai.preflight": set(),
    "dicom_ai": {"dicom_ai", "models"},
    "train": {"train", "dicom_ai", "models"},
}
NEVER: dict[str, set[str]] = {  # upward, or a toy inside the service
    **{
        f"dicom_ai.{name}": {"dicom_ai.service", "dicom_ai.simulate"}
        for name in ("workflow", "story", "answer", "evidence", "delivery")
    },
    "dicom_ai.service": {"dicom_ai.simulate"},
}
MAY_IMPORT_CLI = {"dicom_ai.__main__"}
MAY_IMPORT_COMMANDS = {
    f"dicom_ai.{name}"
    for name in (
        "cli",
        "cli_admin",
        "cli_archive",
        "cli_bench",
        "cli_models",
        "cli_quarantine",
        "cli_verdict",
        "commands",
    )
}

PURE = (
    "dicom_ai.crop",
    "dicom_ai.report",
    "dicom_ai.charset",
    "dicom_ai.finding",
    "dicom_ai.instance",
    "dicom_ai.kept",
    "dicom_ai.mapping",
    "models.preprocess",
)
NOT_PURE = (  # the decoding child and its parent side; the reader, which loads networks and keeps them from reporting
    "dicom_ai.crop.child",
    "dicom_ai.crop.cropper",
    "dicom_ai.crop.ocr",
    "dicom_ai.crop.onnx_runtime",
)
TORCH = {"torch", "torchvision", "lightning", "torchmetrics"}
IMPURE = {
    "alembic", "asyncio", "concurrent", "dbos", "glob", "http", "logging", "multiprocessing", "os", "pathlib",
    "pynetdicom", "random", "secrets", "shutil", "socket", "sqlalchemy", "structlog", "subprocess", "tempfile",
    "threading", "time", "urllib",
}  # fmt: skip
IMPURE_NAMES = {"open", "print", "input"}
IMPURE_ATTRIBUTES = {"now", "utcnow", "today", "uuid1", "uuid4", "generate_uid"}
FILE_OR_BUFFER = {"dcmread", "dcmwrite", "save_as"}  # pure only on a buffer made in the same module

FORBIDDEN_STEMS = {"manager", "handler", "handlers", "base", "data", "process", "models", "common", "misc"}
FORBIDDEN_WORDS = {"util", "utils", "helper", "helpers", "common", "misc"}
MAX_FILE, MAX_FUNCTION, MAX_PARAMETERS = 300, 40, 6
OPTIONS_ARE_PARAMETERS = (
    "dicom_ai.cli",
    "dicom_ai.cli_admin",
    "dicom_ai.cli_archive",
    "dicom_ai.cli_bench",
    "dicom_ai.cli_models",
    "dicom_ai.cli_quarantine",
    "dicom_ai.cli_verdict",
    "train.__main__",
    "train.commands.collect",
    "train.commands.evaluate",
    "train.commands.fit",
    "train.commands.promote",
    "train.commands.pull",
    "train.commands.split",
    "train.commands.table",
)  # Typer: one parameter per command line option


def our_modules() -> dict[str, Path]:
    """Dotted name -> file of every module in the three packages; a package has its own name."""
    files = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
    return {module_name(path.relative_to(ROOT)): path for path in files}


def module_name(path: Path) -> str:
    """`dicom_ai/crop/__init__.py` -> `dicom_ai.crop`."""
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def is_in(name: str, prefixes: tuple[str, ...] | set[str]) -> bool:
    """Whether `name` is one of the dotted prefixes or lies under one."""
    return any(name == prefix or name.startswith(prefix + ".") for prefix in prefixes)


def imports(tree: ast.AST, *, at_import_time: bool = False) -> Iterator[str]:
    """Every imported name, dotted: `from a.b import c` gives `a.b.c`; relative ones start with a dot.

    With `at_import_time`, those inside functions and under `if TYPE_CHECKING` are left out.
    """
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{'.' * node.level}{node.module or ''}.{alias.name}" for alias in node.names)
        elif at_import_time and isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            continue
        elif at_import_time and isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            yield from (name for part in node.orelse for name in imports(part, at_import_time=True))
        else:
            yield from imports(node, at_import_time=at_import_time)


def allowed(module: str) -> set[str]:
    """What of ours a module may import."""
    prefixes = [prefix for prefix in MAY_IMPORT if is_in(module, {prefix})]
    return MAY_IMPORT[max(prefixes, key=len)]


def wrong_arrows(module: str, tree: ast.AST) -> list[str]:
    """Imports against the arrows, relative imports, and imports by name at run time."""
    found = []
    for name in imports(tree):
        if name.startswith("."):
            found.append(f"{module}: relative import {name}")
        elif name.split(".")[0] == "tests":
            found.append(f"{module}: imports the tests")
        elif name.split(".")[0] in PACKAGES and name not in {"dicom_ai", "dicom_ai.__version__"}:
            is_upward = (
                is_in(name, NEVER.get(module, set()))
                or (is_in(name, {"dicom_ai.cli"}) and module not in MAY_IMPORT_CLI)
                or (is_in(name, {"dicom_ai.commands"}) and not is_in(module, MAY_IMPORT_COMMANDS))
            )
            if is_upward or not is_in(name, allowed(module)):
                found.append(f"{module}: may not import {name}")
    found += [f"{module}: imports by name, which no test can read" for node in ast.walk(tree) if _is_import_call(node)]
    return found


def _is_import_call(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in {"import_module", "__import__"}


def impurities(module: str, tree: ast.AST) -> list[str]:
    """Disk, sockets, clock, chance and processes in a module that must be pure."""
    if not is_in(module, PURE) or is_in(module, NOT_PURE):
        return []
    banned = IMPURE if module == "models.preprocess" else IMPURE | TORCH
    found = [f"{module}: is pure, imports {name}" for name in imports(tree) if name.split(".")[0] in banned]
    has_buffer = any(name in {"io.BytesIO", "pydicom.filebase.DicomBytesIO"} for name in imports(tree))
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            said = ast.unparse(node.func)
            last = said.split(".")[-1]
            is_file = last in FILE_OR_BUFFER and not has_buffer
            if said in IMPURE_NAMES or last in IMPURE_ATTRIBUTES or is_file:
                found.append(f"{module}: is pure, calls {said}")
        elif _is_numpy_random(node):
            found.append(f"{module}: is pure, uses {ast.unparse(node)}")
    return found


def _is_numpy_random(node: ast.AST) -> bool:
    """Whether it is numpy's random module; a Generator may be an argument."""
    return (
        isinstance(node, ast.Attribute)
        and node.attr != "Generator"
        and ast.unparse(node).startswith(("np.random.", "numpy.random."))
    )


def sizes(module: str, source: str) -> list[str]:
    """Files, functions and parameter lists over the limit."""
    if ".migrations." in module:  # Alembic writes one function per revision, as long as the tables are many
        return []
    n_lines = len(source.splitlines())
    found = [f"{module}: {n_lines} lines"] if n_lines > MAX_FILE else []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            n_code = function_lines(node)
            if n_code > MAX_FUNCTION:
                found.append(f"{module}.{node.name}: {n_code} lines")
            n_parameters = len(parameters(node))
            if n_parameters > MAX_PARAMETERS and module not in OPTIONS_ARE_PARAMETERS:
                found.append(f"{module}.{node.name}: {n_parameters} parameters")
    return found


def function_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines from `def` to the end, the docstring left out."""
    first = node.body[0]
    n_docstring = 0
    if ast.get_docstring(node, clean=False) is not None:
        n_docstring = (first.end_lineno or first.lineno) - first.lineno + 1
    return (node.end_lineno or node.lineno) - node.lineno + 1 - n_docstring


def parameters(node: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    """Names of the parameters without self and cls."""
    a = node.args
    every = [*a.posonlyargs, *a.args, *([a.vararg] if a.vararg else []), *a.kwonlyargs, *([a.kwarg] if a.kwarg else [])]
    return [argument.arg for argument in every if argument.arg not in {"self", "cls"}]


def is_forbidden_name(path: Path) -> bool:
    """Whether a file or one of its folders (relative to the repository) has a name that says nothing."""
    return any(
        part in FORBIDDEN_STEMS or FORBIDDEN_WORDS & set(part.split("_"))
        for part in (*path.parts[1:-1], path.stem)  # parts[0] is one of the given top-level folders
    )


def graph(trees: Mapping[str, ast.AST], *, at_import_time: bool = False) -> dict[str, set[str]]:
    """Module -> modules of ours it imports; at import time also the packages above those."""
    edges: dict[str, set[str]] = {}
    for module, tree in trees.items():
        edges[module] = set()
        for name in imports(tree, at_import_time=at_import_time):
            target = name if name in trees else name.rpartition(".")[0]
            if target in trees and target != module:
                edges[module].add(target)
                if at_import_time:
                    parts = target.split(".")
                    edges[module] |= {".".join(parts[:n]) for n in range(1, len(parts))} & set(trees)
    return edges


def reachable(start: str, edges: Mapping[str, set[str]]) -> set[str]:
    """Every module reached from `start` over at least one arrow."""
    seen: set[str] = set()
    todo = list(edges.get(start, ()))
    while todo:
        module = todo.pop()
        if module not in seen:
            seen.add(module)
            todo += edges.get(module, ())
    return seen


def cycles(edges: Mapping[str, set[str]]) -> list[str]:
    """Modules that reach themselves."""
    return sorted(module for module in edges if module in reachable(module, edges))


def loads_torch(trees: Mapping[str, ast.AST]) -> list[str]:
    """Modules of the torch-free stages from which importing reaches torch."""
    edges = graph(trees, at_import_time=True)
    direct = {
        m for m, tree in trees.items() if any(n.split(".")[0] in TORCH for n in imports(tree, at_import_time=True))
    }
    return sorted(m for m in trees if is_in(m, TORCH_FREE) and ({m} | reachable(m, edges)) & direct)
