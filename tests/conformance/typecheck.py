"""Request bodies against the vendors' own TypeScript types: `const body: Params = {...}`, compiled with --strict.

A type that some missing package turned into `any` would accept everything; so bodies that are wrong on purpose must be refused."""
import json
import shutil
import subprocess

from harness.daemon import BUILD
from harness.peers import MODULES, NODE, need_peers

OPTIONS = {"strict": True, "noEmit": True, "skipLibCheck": True, "target": "es2022", "module": "esnext", "moduleResolution": "bundler", "types": [],
           "lib": ["es2022", "dom", "dom.asynciterable"]}


def wrong_bodies(body):
    """(what is wrong, body): one member more; each member of another type."""
    yield "a member that there is not", {**body, "no_such_member": 1}
    for name in body:
        yield f"{name} of a wrong type", {**body, name: [[{"wrong": True}]]}


def source(provider, bodies):
    lines = [provider.types.strip()]
    for i, (case, body) in enumerate(bodies):
        lines += [f"// {case}", f"export const b{i}: Params = {body};"]
    fullest = max((json.loads(body) for _, body in bodies), key=len)
    for i, (what, wrong) in enumerate(wrong_bodies(fullest)):
        lines += [f"// the types accept {what}", "// @ts-expect-error", f"export const w{i}: Params = {json.dumps(wrong)};"]
    return "\n".join(lines) + "\n"


def complaints(text, bodies_file):
    """tsc's complaints with the case that each belongs to."""
    lines = bodies_file.read_text().splitlines()
    found = []
    for line in text.splitlines():
        if line.startswith(bodies_file.name + "("):
            at = int(line[len(bodies_file.name) + 1:].split(",")[0])
            found.append(f"{lines[at - 2].removeprefix('// ')}: {line.partition(': ')[2][:400]}")
    return found or [text[:1000]]


def check(provider, bodies):
    """Raises with what the compiler says."""
    need_peers()
    assert bodies, "no request body was recorded"
    folder = BUILD / "conformance" / "types" / provider.name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "node_modules").symlink_to(MODULES)
    file = folder / "bodies.ts"
    file.write_text(source(provider, [b for b in bodies if len(b[1]) < 100000]))
    (folder / "tsconfig.json").write_text(json.dumps({"compilerOptions": OPTIONS, "files": [file.name]}))
    run = subprocess.run([NODE, MODULES / "typescript" / "bin" / "tsc", "-p", "."], cwd=folder,
                         capture_output=True, text=True, timeout=120)
    if run.returncode:
        raise AssertionError("; ".join(complaints(run.stdout + run.stderr, file)[:3]))
