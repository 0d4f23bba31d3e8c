"""How each program and plugin was linked and compiled, read from the file: as built, and as packaged."""
import re
import unittest

from installed import BUILD, Installed, is_elf, run

PROGRAMS = ("tdad", "tda", "tda-launcher", "tda-plugin", "mcp-sqlite")


def faults(path):
    """What checksec would complain of, and a little more."""
    headers, dynamic = run("readelf", "-hlW", path), run("readelf", "-dW", path)
    symbols = run("readelf", "--dyn-syms", "-W", path)
    is_program = "INTERP" in headers
    found = []
    if not re.search(r"Type:\s+DYN", headers) or is_program and not re.search(r"FLAGS_1.*PIE", dynamic):
        found.append("not position-independent")
    if "GNU_RELRO" not in headers or not re.search(r"\(FLAGS\).*BIND_NOW", dynamic):
        found.append("not full RELRO")
    if not re.search(r"GNU_STACK\s+\S+\s+\S+\s+\S+\s+\S+\s+\S+\s+RW\s", headers):
        found.append("executable stack")
    if re.search(r"LOAD\s.*\sRWE\s", headers):
        found.append("writable code")
    if re.search(r"RPATH|RUNPATH|TEXTREL", dynamic):
        found.append("RPATH, RUNPATH or TEXTREL")
    if "__stack_chk_fail" not in symbols:
        found.append("no stack protector")
    if not re.search(r"__\w+_chk\b", symbols):
        found.append("no FORTIFY")
    return found


class Built(unittest.TestCase):
    def test_programs_and_plugins(self):
        files = [BUILD / "bin" / p for p in PROGRAMS] + sorted((BUILD / "plugins").glob("*.so"))
        self.assertGreaterEqual(len(files), 14)
        self.assertEqual({f.name: faults(f) for f in files if faults(f)}, {})

    def test_the_compiler_was_told(self):
        text = (BUILD / "compile_commands.json").read_text()
        for flag in ("-D_FORTIFY_SOURCE=3", "-fstack-protector-strong", "-fstack-clash-protection"):
            self.assertEqual(text.count(f" {flag} "), text.count('"command":'), flag)

    def test_the_check_can_fail(self):
        soft = BUILD / "soft-test"
        try:
            run("cc", "-x", "c", "-", "-o", soft, "-no-pie", "-fno-stack-protector", "-U_FORTIFY_SOURCE", "-Wl,-z,norelro,-z,execstack,-rpath,/tmp",
                input="int main(void) { return 0; }")
            self.assertEqual(len(faults(soft)), 6)
        finally:
            soft.unlink(missing_ok=True)


class Packaged(Installed):
    def test_every_file_of_the_packages(self):
        elves = [p for p in self.files() if is_elf(p)]
        self.assertGreaterEqual(len(elves), 15)
        self.assertEqual({p.name: faults(p) for p in elves if faults(p)}, {})


if __name__ == "__main__":
    unittest.main()
