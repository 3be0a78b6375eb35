"""What the census reads out of a file, tricky ones included."""

import ast
import codecs
from pathlib import Path
from textwrap import dedent

import pytest

from examples.census.facts import FileFacts, FunctionFacts, NotParsed, facts_of, read_facts


def facts(source: str) -> FileFacts:
    source = dedent(source)
    return facts_of(ast.parse(source), lines=source.count("\n"))


def functions(source: str) -> dict[str, FunctionFacts]:
    return {function.name: function for function in facts(source).functions}


def read(tmp_path: Path, source: bytes, *, max_bytes: int = 100_000) -> FileFacts:
    path = tmp_path / "file.py"
    path.write_bytes(source)
    return read_facts(path, max_bytes=max_bytes)


def reason(tmp_path: Path, source: bytes, *, max_bytes: int = 100_000) -> str:
    with pytest.raises(NotParsed) as caught:
        read(tmp_path, source, max_bytes=max_bytes)
    return caught.value.reason


@pytest.mark.parametrize(
    ("body", "complexity"),
    [
        ("pass", 1),
        ("if a: pass", 2),
        ("if a: pass\nelif b: pass\nelse: pass", 3),
        ("for a in b: pass\nelse: pass", 2),
        ("while a: pass", 2),
        ("try: pass\nexcept A: pass\nexcept B: pass\nfinally: pass", 3),
        ("return a if b else c", 2),
        ("return a and b and c or d", 4),
        ("return [a for b in c for d in e if f if g]", 5),
        ("return {a: b for c in d}", 2),
        ("return lambda: a if b else c", 2),
        ("with a: pass", 1),
        ("assert a, b", 1),
        ("match a:\n case 1: pass\n case [b, *c] if d: pass\n case _: pass", 3),
        ("match a:\n case 1: pass\n case 2: pass", 3),
    ],
)
def test_each_decision_is_one_more_way_through(body: str, complexity: int) -> None:
    indented = "\n".join(f"    {line}" for line in body.split("\n"))

    found = functions(f"def f(a, b, c, d, e, g):\n{indented}\n")

    assert found["f"].complexity == complexity


def test_async_loops_count_as_loops_do() -> None:
    found = functions("async def f(a):\n    async for b in a:\n        async with b: pass\n")

    assert found["f"].complexity == 2


def test_a_nested_function_has_its_own_complexity() -> None:
    found = functions(
        """
        def outer(a):
            def inner(b):
                if b:
                    return 1
            return inner
        """
    )

    assert {name: function.complexity for name, function in found.items()} == {"outer": 1, "outer.inner": 2}


def test_decorators_and_defaults_belong_to_whoever_defines_the_function() -> None:
    found = functions(
        """
        def outer(a):
            @(a if a else None)
            def inner(b=a or 1) -> (int if a else str):
                pass
        """
    )

    assert (found["outer"].complexity, found["outer.inner"].complexity) == (4, 1)


def test_methods_are_named_after_their_class() -> None:
    found = functions(
        """
        class Pool:
            class Lease:
                async def renew(self): ...
            @property
            def size(self): ...
        """
    )

    assert list(found) == ["Pool.Lease.renew", "Pool.size"]


def test_code_outside_functions_has_no_complexity_of_its_own() -> None:
    found = facts("if a:\n    for b in c: pass\nclass D:\n    e = 1 if f else 2\n")

    assert (found.functions, found.classes) == ((), 1)


def test_a_function_knows_its_place_length_and_docstring() -> None:
    found = functions('\n@decorated\ndef f():\n    """Say why."""\n    return 1\n')

    assert found["f"] == FunctionFacts(name="f", line=3, lines=3, complexity=1, documented=True)


def test_imports_are_top_level_names_and_relative_ones_stay_at_home() -> None:
    found = facts("import os.path as p, sys\nfrom xml.dom import minidom\nfrom . import sibling\nfrom ..up import x\n")

    assert found.imports == {"os", "sys", "xml"}


def test_what_only_functions_import_is_deferred() -> None:
    found = facts("import os\ndef f():\n    import os, json\nclass A:\n    import re\n")

    assert (found.imports, found.deferred_imports) == ({"os", "re"}, {"json"})


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        (b"", 0),
        (b"\n", 1),
        (b"a = 1", 1),
        (b"a = 1\r\nb = 2\r\n", 2),
        (b"a = 1\rb = 2\r", 2),
        (b"a = 1\n\x0c\nb = 2\n", 3),
        ("a = '\u2028'\n".encode(), 1),
    ],
)
def test_lines_are_counted_as_an_editor_does(tmp_path: Path, source: bytes, lines: int) -> None:
    assert read(tmp_path, source).lines == lines


def test_a_coding_line_is_obeyed(tmp_path: Path) -> None:
    found = read(tmp_path, "# -*- coding: latin-1 -*-\ndef größe(): pass\n".encode("latin-1"))

    assert [function.name for function in found.functions] == ["größe"]


def test_a_byte_order_mark_is_not_part_of_the_code(tmp_path: Path) -> None:
    assert read(tmp_path, codecs.BOM_UTF8 + b"def f(): pass\n").functions[0].name == "f"


@pytest.mark.parametrize(
    ("source", "why"),
    [
        (b"def f(:\n", "syntax error"),
        (b"print 'python 2'\n", "syntax error"),
        (b"a = 1\0\n", "syntax error"),
        (b"if a:\n\tb\n        c\n", "syntax error"),
        (b"a = '\xff'\n", "undecodable"),
        (b"# coding: utf-8\n\n\na = '\xff'\n", "undecodable"),
        (b"# coding: no-such-encoding\n", "undecodable"),
        (b"# coding: rot13\n", "undecodable"),
        (codecs.BOM_UTF8 + b"# coding: latin-1\n", "undecodable"),
    ],
)
def test_a_broken_file_says_why(tmp_path: Path, source: bytes, why: str) -> None:
    assert reason(tmp_path, source) == why


def test_a_file_over_the_limit_is_not_parsed(tmp_path: Path) -> None:
    assert reason(tmp_path, b"a = 1\n", max_bytes=5) == "too large"
    assert read(tmp_path, b"a = 1\n", max_bytes=6).lines == 1


def test_a_file_that_has_gone_is_unreadable(tmp_path: Path) -> None:
    with pytest.raises(NotParsed, match="unreadable: No such file"):
        read_facts(tmp_path / "gone.py", max_bytes=100)


def test_code_nested_deeper_than_the_parser_can_is_counted_not_fatal(tmp_path: Path) -> None:
    assert reason(tmp_path, b"a = " + b"-" * 50_000 + b"1\n") == "too deep"


def test_a_long_chain_of_operators_does_not_exhaust_the_stack(tmp_path: Path) -> None:
    source = b"def f(a):\n    return " + b" + ".join([b"a"] * 900) + b"\n"

    assert read(tmp_path, source).functions[0].complexity == 1


def test_warnings_about_other_peoples_code_are_not_ours(tmp_path: Path) -> None:
    assert read(tmp_path, b"a = '\\d'\nb = 1 is 1\n").lines == 2
