"""The API reference: it is built without a warning, and every public name says what it is, with shapes where arrays are meant."""

import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "docs"))

import reference

DOCS = Path(reference.__file__).parent
SHAPE = re.compile(r"\[[^\]]+\]")
ARRAY = re.compile(r"\b(NDArray|ArrayLike|Array|Tensor)\b")


def test_the_reference_is_built_without_a_warning(tmp_path):
    pytest.importorskip("pdoc")
    command = [sys.executable, "-W", "always", str(DOCS / "reference.py"), f"out={tmp_path}"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=DOCS.parent, check=True)
    assert not [line for line in done.stderr.splitlines() if "pdoc" in line or "UserWarning" in line]
    pages = {str(path.relative_to(tmp_path).with_suffix("")).replace("/", ".") for path in tmp_path.rglob("*.html")}
    assert pages == {*reference.MODULES, "index"}
    text = (tmp_path / "nerm" / "motion" / "skeleton.html").read_text()
    assert "NDArray" in text and "numpy" not in re.sub("<pre>.*?</pre>", "", text, flags=re.DOTALL)
    assert re.search(r"<li>(<p>)?<code>(<[^>]*>)*fps<", (tmp_path / "nerm" / "motion" / "motion.html").read_text())


def test_the_index_names_every_page_and_every_module():
    text = (DOCS / "README.md").read_text()
    assert {path.name for path in DOCS.glob("*.md")} == {*re.findall(r"\]\(([\w-]+\.md)\)", text), "README.md"}
    table = text.partition("| module |")[2]
    named = {name for name in re.findall(r"`([\w.]+)`", table)}
    parents = ("nerm.motion", "evaluators.metrics")
    expected = {
        name.removeprefix(f"{of}.") if name.startswith(f"{of}.") else name
        for name in reference.MODULES
        for of in parents
        if name.startswith(of)
    }
    expected |= {name for name in reference.MODULES if not name.startswith(parents)}
    assert named == expected


def test_every_link_of_a_page_leads_somewhere():
    root = DOCS.parent
    pages = [root / "README.md", root / "CHANGELOG.md", *DOCS.glob("*.md")]
    broken = [
        f"{page.name}: {link}"
        for page in pages
        for link in re.findall(
            r"\]\((?!https?:|#)([^)#\s]+)", re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
        )
        if not (page.parent / link).exists()
    ]
    assert not broken


def test_keys_of_a_docstring_become_a_list():
    said = "A thing.\n\none: first, and\ngoes on.  two, three: both (a: b).\n"
    assert reference.as_list(said) == "A thing.\n\n\n\n- `one`: first, and\ngoes on.  \n\n- `two, three`: both (a: b).\n"


@pytest.mark.parametrize("name", reference.MODULES)
def test_every_public_name_has_a_docstring_with_the_shapes_of_arrays(name):
    module = import_module(name)
    assert module.__doc__
    assert not [public for public in getattr(module, "__all__", ()) if not hasattr(module, public)]
    without = [where for where, thing, _ in documented(module) if not said(thing)]
    assert not without, f"say what they are: {without}"
    shapeless = [where for where, thing, around in documented(module) if takes_arrays(thing) and not SHAPE.search(said(thing) + around)]
    assert not shapeless, f"say the shapes: {shapeless}"


@pytest.mark.parametrize("name", [name for name in reference.MODULES if hasattr(import_module(name), "__all__")])
def test_what_a_module_exports_is_a_thing_with_a_docstring_or_explained_in_its_source(name):
    module = import_module(name)
    for public in module.__all__:
        thing = getattr(module, public)
        if inspect.isclass(thing) or inspect.isfunction(thing):
            assert said(thing), public
        else:  # a constant: its explanation is the string below it, where it is made
            home = next(m for m in sys.modules.values() if getattr(m, "__name__", "").startswith("nerm") and _makes(m, public))
            assert re.search(rf'^{public}\b.*?= .*\n(?:(?![A-Za-z_]).*\n)*?"""', inspect.getsource(home), re.MULTILINE), public


def documented(module) -> Iterator[tuple[str, object, str]]:
    """(name, function or class, docstring of what it is in) of everything public that the module makes."""
    for name, thing in vars(module).items():
        if name.startswith("_") or getattr(thing, "__module__", "") != module.__name__:
            continue
        if inspect.isfunction(thing):
            yield name, thing, ""
        elif inspect.isclass(thing):
            yield name, thing, ""
            for part, method in vars(thing).items():
                if not part.startswith("_") and inspect.isfunction(method):
                    yield f"{name}.{part}", _as_declared(thing, part), said(thing)


def _as_declared(owner: type, name: str) -> object:
    """A method, or the one above that it implements, where that says what it does."""
    found = [vars(kind)[name] for kind in owner.__mro__ if name in vars(kind)]
    return next((method for method in found if said(method)), found[0])


def said(thing: object) -> str:
    text = getattr(thing, "__doc__", None) or ""
    return "" if inspect.isclass(thing) and text.startswith(f"{thing.__name__}(") else text


def takes_arrays(thing: object) -> bool:
    return any(ARRAY.search(str(annotation)) for annotation in getattr(thing, "__annotations__", {}).values())


def _makes(module, public: str) -> bool:
    return bool(re.search(rf"^{public}\b.*= ", inspect.getsource(module), re.MULTILINE)) if getattr(module, "__file__", None) else False
