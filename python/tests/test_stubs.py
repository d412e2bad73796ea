"""What help() shows and what the stubs say must be the same."""

import ast
import inspect
import os
import subprocess
import sys
from pathlib import Path

import msd_gpu
import numpy as np
import pytest
from conftest import discs

STUB = Path(msd_gpu.__file__).with_name("__init__.pyi")
TREE = ast.parse(STUB.read_text())
EXAMPLES = Path(__file__).parents[1] / "examples"
FIRST, LAST = "# Settings, from the library's list.", "# End of the settings."


def members(body):
    return {node.name: node for node in body if isinstance(node, (ast.FunctionDef, ast.ClassDef))}


def is_property(node):
    return any(getattr(decorator, "id", None) == "property" for decorator in node.decorator_list)


def of_stub(function, skipped=()):
    """Names, kinds and defaults of the parameters, without self and those that are skipped."""
    arguments = function.args
    plain = [*arguments.posonlyargs, *arguments.args]
    defaults = [inspect.Parameter.empty] * (len(plain) - len(arguments.defaults)) + arguments.defaults
    kinds = [(p, inspect.Parameter.POSITIONAL_OR_KEYWORD, d) for p, d in zip(plain, defaults)]
    kinds += [(p, inspect.Parameter.KEYWORD_ONLY, d) for p, d in zip(arguments.kwonlyargs, arguments.kw_defaults)]

    def value(default):
        if default is None or default is inspect.Parameter.empty:
            return inspect.Parameter.empty
        return ast.literal_eval(default)

    return [(p.arg, kind, value(d)) for p, kind, d in kinds if p.arg != "self" and p.arg not in skipped]


def of_runtime(thing):
    parameters = inspect.signature(thing).parameters.values()
    kept = [p for p in parameters if p.name != "self" and p.kind is not inspect.Parameter.VAR_KEYWORD]
    return [(p.name, p.kind, p.default) for p in kept]


def settings():
    """The keywords of train that stand between two comments."""
    lines = STUB.read_text().splitlines()
    stripped = [line.strip() for line in lines]
    inside = stripped[stripped.index(FIRST) + 1 : stripped.index(LAST)]
    return [line.split(":")[0] for line in inside]


def test_the_stub_has_what_there_is():
    names = members(TREE.body)
    assert STUB.with_name("py.typed").exists()
    assert {name for name in names if not name.startswith("_")} | {"__version__"} == set(msd_gpu.__all__)
    for name in ("Model", "Ensemble"):
        inside = members(names[name].body)
        public = {member for member in dir(getattr(msd_gpu, name)) if not member.startswith("_")}
        assert {member for member in inside if not member.startswith("_")} == public
        assert "__len__" not in inside or hasattr(getattr(msd_gpu, name), "__len__")
    assert issubclass(msd_gpu.TrainingInterrupted, KeyboardInterrupt)


@pytest.mark.parametrize("name", ["devices", "evaluate", "train"])
def test_functions_have_the_parameters_of_the_stub(name):
    skipped = settings() if name == "train" else ()
    assert of_stub(members(TREE.body)[name], skipped) == of_runtime(getattr(msd_gpu, name))


@pytest.mark.parametrize("name", ["Model", "Ensemble"])
def test_methods_have_the_parameters_of_the_stub(name):
    kind = getattr(msd_gpu, name)
    for member, node in members(members(TREE.body)[name].body).items():
        if is_property(node):
            assert inspect.isgetsetdescriptor(kind.__dict__[member])
        else:
            found = of_runtime(kind if member == "__init__" else getattr(kind, member))
            assert of_stub(node) == found, member


def test_everything_is_documented():
    public = [msd_gpu, *(getattr(msd_gpu, name) for name in msd_gpu.__all__ if name != "__version__")]
    for kind in (msd_gpu.Model, msd_gpu.Ensemble):
        public += [getattr(kind, name) for name in dir(kind) if not name.startswith("_")]
    for thing in public:
        assert thing.__doc__ and len(thing.__doc__) > 10, thing
    # Every parameter, and every setting, is in the help.
    for thing, more in [(msd_gpu.train, settings()), (msd_gpu.Model.load, ["tile"]), (msd_gpu.Ensemble, ["tta"])]:
        parameters = [p for p in inspect.signature(thing).parameters if p not in ("path", "settings")]
        for name in [*parameters, *more]:
            assert name in thing.__doc__, (thing, name)
    for name in inspect.signature(msd_gpu.Model.apply).parameters:
        assert name == "self" or name in msd_gpu.Model.apply.__doc__, name
    parts = members(TREE.body)
    for part in ("_Optimisation", "_Augmentation"):
        for node in parts[part].body:
            assert node.target.id in msd_gpu.train.__doc__, node.target.id


@pytest.fixture
def mypy(tmp_path):
    """Runs mypy on files, which see the stub; not where it is installed, as mypy does not check what it finds there."""
    pytest.importorskip("mypy")
    package = tmp_path / "stubs" / "msd_gpu"
    package.mkdir(parents=True)
    for name in (STUB.name, "dask.py", "py.typed"):
        (package / name).write_text(STUB.with_name(name).read_text())

    def run(*files):
        # Of dask and distributed, some functions have no types.
        options = ["--strict", "--untyped-calls-exclude=dask", "--untyped-calls-exclude=distributed", "--cache-dir", str(tmp_path / "cache")]
        return subprocess.run(
            [sys.executable, "-m", "mypy", *options, *map(str, files)],
            capture_output=True, text=True, cwd=tmp_path, env={**os.environ, "MYPYPATH": str(tmp_path / "stubs")},
        )  # fmt: skip

    run.stub = package / STUB.name
    return run


def test_mypy_accepts_the_stub_and_the_examples(mypy):
    files = [mypy.stub, mypy.stub.with_name("dask.py"), *EXAMPLES.glob("*.py")]
    assert len(files) > 3
    done = mypy(*files)
    assert done.returncode == 0, done.stdout + done.stderr


def test_mypy_accepts_arrays_that_are_not_in_memory(mypy, tmp_path):
    pytest.importorskip("zarr")
    program = tmp_path / "right.py"
    program.write_text(
        "import msd_gpu\nimport numpy as np\nimport zarr\n"
        "model = msd_gpu.Model.load('model.safetensors')\n"
        "array = zarr.create_array('a.zarr', shape=(4, 8, 8), dtype='u2')\n"
        "mapped = np.memmap('labels', 'u1', 'w+', shape=(4, 8, 8))\n"
        "print(model.predict(array, out=array).chunks)\n"
        "model.predict(mapped, out=mapped).flush()\n"
        "model.predict(array).mean()\n"
        "msd_gpu.Ensemble([model]).predict(array, out=np.zeros((4, 8, 8), np.uint8)).mean()\n"
        "[file.name for file in model.apply('scan.h5:/data', 'labels', halo=model.halo, progress=print)]\n"
    )
    done = mypy(program)
    assert done.returncode == 0, done.stdout + done.stderr


def test_mypy_refuses_what_train_refuses(mypy, tmp_path):
    program = tmp_path / "wrong.py"
    program.write_text(
        "import msd_gpu\nimport numpy as np\n"
        "images = np.zeros((4, 8, 8), np.uint16)\n"
        "model = msd_gpu.train(images, images > 0, task='segment', deepth=3)\n"
        "msd_gpu.train(images, images, task='guess')\n"
        "msd_gpu.train(images, images, task='segment', lr='high')\n"
        "model.predict([[1.0]])\n"
        "model.export('model.onnx', 'caffe')\n"
        "model.predict(images, out=[[0]])\n"
        "model.apply('a.tif', 'b', halos=3)\n"
        "model.apply('a.tif', 'b', format='gif')\n"
        "import dask.array as da\nimport msd_gpu.dask\n"
        "msd_gpu.dask.predict(da.zeros((4, 8, 8)), model, halo='auto')\n"
        "msd_gpu.dask.predict(da.zeros((4, 8, 8)), 3)\n"
        "msd_gpu.dask.predict(da.zeros((4, 8, 8)), model, device=lambda: 3)\n"
    )
    done = mypy(program)
    for line in (*range(4, 12), *range(14, 17)):
        assert f"wrong.py:{line}: error" in done.stdout, done.stdout


def test_the_readme_shows_the_example():
    readme = EXAMPLES.parents[1] / "README.md"
    if not readme.exists():
        pytest.skip("the tests are not where they were written")
    _, code = (EXAMPLES / "segment_stack.py").read_text().split('"""\n\n')
    assert f"```python\n{code}```" in readme.read_text()


@pytest.mark.parametrize("example", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_examples_run(example, tmp_path):
    images, labels = discs(8)
    for name, array in [("stack", images), ("labels", labels[:5]), ("noisy", images), ("clean", images // 2)]:
        np.save(tmp_path / f"{name}.npy", array)
    if "stack.zarr" in example.read_text():
        pytest.importorskip("distributed")
        pytest.importorskip("zarr").save(str(tmp_path / "stack.zarr"), images)
    quick = (
        "import msd_gpu, sys\n"
        "train, quick = msd_gpu.train, dict(max_minutes=None, max_steps=9, device='cpu', depth=3, stem='none')\n"
        "msd_gpu.train = lambda *arrays, **settings: train(*arrays, **{**settings, **quick})\n"
        "exec(compile(open(sys.argv[1]).read(), sys.argv[1], 'exec'))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", quick, str(example)], capture_output=True, text=True, cwd=tmp_path, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert "epoch 1, step " in done.stderr
