"""The source starts no shell, runs no code from data, and decodes images in one place."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = [path for part in ("lib", "tracking", "benchmarks") for path in sorted((ROOT / part).rglob("*.py"))]
PARTS = sorted({path.parent for path in SOURCES})
FORBIDDEN = {"eval", "exec", "compile", "__import__", "os.system", "os.popen", "pickle.load", "pickle.loads",
             "pickle.Unpickler", "marshal.loads", "shelve.open", "yaml.load", "yaml.unsafe_load", "yaml.full_load",
             "tempfile.mktemp", "subprocess.getoutput", "subprocess.getstatusoutput", "torch.jit.load",
             "torch.hub.load", "shutil.unpack_archive", "tarfile.open", "runpy.run_path"}
DECODERS = {"cv2.imread", "cv2.imdecode", "simplejpeg.decode_jpeg"}
FORBIDDEN_METHODS = {"extractall", "extract"}  # of archives
SUBPROCESS = {f"subprocess.{name}" for name in ("run", "Popen", "call", "check_call", "check_output")}


def dotted(node: ast.AST) -> str:
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def dangerous_calls(tree: ast.AST) -> list[str]:
    found = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name, options = dotted(node.func), {k.arg: k.value for k in node.keywords}
        values = {key: value.value for key, value in options.items() if isinstance(value, ast.Constant)}
        if name in FORBIDDEN or name.rpartition(".")[2] in FORBIDDEN_METHODS:
            found.append(name)
        words = [*node.args[:1], *(options[key] for key in ("args",) if key in options)]
        if "shell" in options or name in SUBPROCESS and isinstance(words[0], (ast.Constant, ast.JoinedStr)):
            found.append(f"{name} with a shell or a string")
        if name == "torch.load" and values.get("weights_only") is not True:
            found.append("torch.load without weights_only=True")
        if name.endswith("np.load") and values.get("allow_pickle") is not False or "allow_pickle" in values \
                and values["allow_pickle"]:
            found.append("np.load without allow_pickle=False")
    return found


@pytest.mark.parametrize("folder", PARTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_shell_and_no_code_from_data(folder):
    for path in folder.glob("*.py"):
        assert (path.name, dangerous_calls(ast.parse(path.read_bytes()))) == (path.name, [])


def test_images_are_decoded_where_their_headers_are_looked_at():
    inside = [path for path in SOURCES if path.is_relative_to(ROOT / "lib") and "synthetic" not in path.parts]
    found = {path.relative_to(ROOT).as_posix() for path in inside for node in ast.walk(ast.parse(path.read_bytes()))
             if isinstance(node, ast.Call) and dotted(node.func) in DECODERS}
    assert found == {"lib/data/images.py"}


@pytest.mark.parametrize("line", [
    "eval('1')", "os.system('ls')", "subprocess.run('ls')", "subprocess.run(['ls'], shell=True)", "pickle.loads(b'')",
    "torch.load(f)", "torch.load(f, weights_only=False)", "np.load(f)", "np.load(f, allow_pickle=True)",
    "yaml.load(f, Loader=yaml.Loader)", "z.extractall(d)", "subprocess.Popen(f'ls {x}', shell=y)"])
def test_dangerous_calls_are_found(line):
    assert len(dangerous_calls(ast.parse(line))) >= 1
    assert dangerous_calls(ast.parse("network.eval(); subprocess.run([a, b]); torch.load(f, weights_only=True)")) == []
