"""The facts of one Python file, read from its syntax tree; nothing is imported or run."""

import ast
import io
import tokenize
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionFacts:
    """One function or method."""

    name: str
    """Qualified within its file: ``Pool.acquire``, ``outer.inner``."""
    line: int
    lines: int
    complexity: int
    """Ways through it, as McCabe counts them (1976): 1 and one more for each decision."""
    documented: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class FileFacts:
    """One file."""

    lines: int
    classes: int
    functions: tuple[FunctionFacts, ...]
    imports: frozenset[str]
    """Top-level names imported when the file is loaded; relative imports stay at home and do not count."""
    deferred_imports: frozenset[str]
    """Top-level names that only functions import."""


class NotParsed(Exception):
    """A file has no facts; ``reason`` is one of a few words to count by, ``detail`` a sentence."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


def read_facts(path: Path, *, max_bytes: int) -> FileFacts:
    """Return the facts of the file at ``path``.

    Raises:
        NotParsed: it cannot be read or decoded, is larger than ``max_bytes``, or is not Python of this version.
    """
    try:
        with path.open("rb") as file:
            source = file.read(max_bytes + 1)
    except OSError as error:
        raise NotParsed("unreadable", error.strerror or type(error).__name__) from None
    if len(source) > max_bytes:
        raise NotParsed("too large", f"more than {max_bytes:,} bytes")
    text = _decode(source)
    return facts_of(_parse(text), lines=_count_lines(text))


def facts_of(tree: ast.Module, *, lines: int) -> FileFacts:
    """Return the facts in a syntax tree."""
    walk = _Walk(tree)
    return FileFacts(
        lines=lines,
        classes=walk.classes,
        functions=tuple(found.facts() for found in sorted(walk.functions, key=lambda each: each.node.lineno)),
        imports=frozenset(walk.imports),
        deferred_imports=frozenset(walk.deferred_imports - walk.imports),
    )


def _decode(source: bytes) -> str:
    """Decode as Python does: byte order mark, then coding line, then UTF-8."""
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(source).readline)
        return source.decode(encoding)
    except UnicodeDecodeError as error:
        raise NotParsed("undecodable", f"byte {error.start} is not {error.encoding}") from None
    except (SyntaxError, LookupError) as error:
        raise NotParsed("undecodable", str(error)) from None


def _parse(text: str) -> ast.Module:
    try:
        with warnings.catch_warnings():
            # What their authors were warned of (`"\d"`) is not for the log of this census.
            warnings.simplefilter("ignore", SyntaxWarning)
            warnings.simplefilter("ignore", DeprecationWarning)
            return ast.parse(text)
    except SyntaxError as error:
        raise NotParsed("syntax error", f"line {error.lineno}: {error.msg}") from None
    except ValueError as error:
        raise NotParsed("syntax error", str(error)) from None
    except (RecursionError, MemoryError):
        raise NotParsed("too deep", "nested too deeply for the parser") from None


def _count_lines(text: str) -> int:
    """Count as an editor does; ``str.splitlines`` would also split at form feeds."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text.count("\n") + (0 if text.endswith("\n") or not text else 1)


@dataclass(slots=True)
class _OpenFunction:
    """A function whose body is being walked; its complexity grows."""

    name: str
    node: _Function
    complexity: int = 1

    def facts(self) -> FunctionFacts:
        return FunctionFacts(
            name=self.name,
            line=self.node.lineno,
            lines=(self.node.end_lineno or self.node.lineno) - self.node.lineno + 1,
            complexity=self.complexity,
            documented=ast.get_docstring(self.node, clean=False) is not None,
        )


@dataclass(frozen=True, slots=True)
class _Scope:
    """What encloses a node: its qualified name, and the innermost function around it."""

    name: str = ""
    function: _OpenFunction | None = None

    def inside(self, name: str) -> str:
        return f"{self.name}.{name}" if self.name else name


class _Walk:
    """One pass over a tree with a stack of its own: generated code nests deeper than Python's recursion allows."""

    def __init__(self, tree: ast.Module) -> None:
        self.classes = 0
        self.functions: list[_OpenFunction] = []
        self.imports: set[str] = set()
        self.deferred_imports: set[str] = set()
        to_visit: list[tuple[ast.AST, _Scope]] = [(tree, _Scope())]
        while to_visit:
            node, scope = to_visit.pop()
            to_visit.extend(self._enter(node, scope))

    def _enter(self, node: ast.AST, scope: _Scope) -> Iterator[tuple[ast.AST, _Scope]]:
        """Note the facts of ``node`` itself and yield its children with the scope each is in."""
        if isinstance(node, _Function):
            yield from self._enter_function(node, scope)
            return
        if isinstance(node, ast.ClassDef):
            self.classes += 1
            scope = _Scope(scope.inside(node.name), scope.function)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            kept = self.imports if scope.function is None else self.deferred_imports
            kept.update(_imported(node))
        elif scope.function is not None:
            scope.function.complexity += _decisions(node)
        for child in ast.iter_child_nodes(node):
            yield child, scope

    def _enter_function(self, node: _Function, scope: _Scope) -> Iterator[tuple[ast.AST, _Scope]]:
        function = _OpenFunction(scope.inside(node.name), node)
        self.functions.append(function)
        inner = _Scope(function.name, function)
        body = {id(statement) for statement in node.body}
        for child in ast.iter_child_nodes(node):
            # Decorators, defaults and annotations are evaluated outside, by whoever defines the function.
            yield child, inner if id(child) in body else scope


def _decisions(node: ast.AST) -> int:
    """Return how many ways a node adds to the function it is in."""
    match node:
        case ast.If() | ast.IfExp() | ast.For() | ast.AsyncFor() | ast.While() | ast.ExceptHandler():
            return 1
        case ast.BoolOp(values=values):
            return len(values) - 1
        case ast.comprehension(ifs=conditions):
            return 1 + len(conditions)
        case ast.match_case(pattern=ast.MatchAs(pattern=None), guard=None):
            return 0  # `case _:` takes whatever is left
        case ast.match_case():
            return 1
    return 0


def _imported(node: ast.Import | ast.ImportFrom) -> Iterator[str]:
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield alias.name.partition(".")[0]
    elif node.level == 0 and node.module:
        yield node.module.partition(".")[0]
