"""Man pages and completions: made from the tables, so they hold what the tables hold, and man and the shells take them without a word."""
import re
import subprocess
import unittest

from installed import BUILD, SOURCE, has_tool, os, run

MADE = BUILD / "tools" / "package"
TDAD, TDA = BUILD / "bin" / "tdad", BUILD / "bin" / "tda"
PAGES = {"tda.1": [TDA, "__manual"], "tdad.8": [TDAD, "--reference", "tdad.8"], "tda.yaml.5": [TDAD, "--reference", "tda.yaml.5"],
         "tda-protocol.7": [TDAD, "--reference", "tda-protocol.7"]}


def man(path):
    """The page as a reader sees it, on one line; and what man has to say of it."""
    r = subprocess.run(["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", str(path)], capture_output=True, text=True, check=True,
                       env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "MANWIDTH": "500"})
    text = re.sub(r"\x1b\[[0-9;]*m|.\x08", "", r.stdout)
    return re.sub(r"\s+", " ", text.replace("\u2010", "-")), r.stderr


@has_tool("man")
class Pages(unittest.TestCase):
    def test_what_is_installed_is_what_the_programs_write(self):
        for name, command in PAGES.items():
            self.assertEqual((MADE / name).read_text(), run(*command), name)

    def test_man_has_nothing_to_complain_of(self):
        for path in [MADE / name for name in PAGES] + [SOURCE / "tools" / "mcp-sqlite" / "mcp-sqlite.1"]:
            self.assertEqual(man(path)[1], "", path)
            self.assertIn(" NAME ", man(path)[0])

    def test_every_setting_with_its_default_and_variable(self):
        text, _ = man(MADE / "tda.yaml.5")
        rows = [[c.strip() for c in line.strip("|").split("|")] for line in run(TDAD, "--reference", "settings").splitlines()[2:]]
        self.assertGreater(len(rows), 60)
        for path, kind, fallback, allowed, variable, _ in rows:
            self.assertIn(f" {path} type: {kind}", text)
            if variable.startswith("TDA_"):
                self.assertIn(f"variable: {variable}", text)
                self.assertIn(f" {variable} ", man(MADE / "tdad.8")[0])

    def test_every_method_parameter_and_error(self):
        text, _ = man(MADE / "tda-protocol.7")
        page = run(TDAD, "--reference", "methods")
        names = re.findall(r"(?m)^### (\S+)$", page) + re.findall(r"(?m)^\| `?([^`|]+?)`? \|", page)
        self.assertGreater(len(names), 300)
        self.assertEqual([n for n in names if n not in ("---",) and n not in ("parameter", "result", "event", "code", "kind") and n not in text], [])

    def test_every_command_and_option_of_the_client(self):
        text, _ = man(MADE / "tda.1")
        commands = [line.split()[0] for line in run(TDA, "--help").split("commands:")[1].split("\n\n")[0].strip().splitlines()]
        self.assertGreater(len(commands), 20)
        for name in commands:
            for option in re.findall(r"(?m)^ +(?:-\w, )?(--[a-z-]+)", run(TDA, "help", name)):
                self.assertIn(option, text)
            self.assertIn(f" {name} ", text)

    def test_every_option_of_the_daemon(self):
        text, _ = man(MADE / "tdad.8")
        options = re.findall(r"(?m)^ +(?:-\w, )?(--[a-z]+)", run(TDAD, "--help"))
        self.assertGreater(len(options), 6)
        for shell in ("bash", "zsh", "fish"):
            script = run(TDAD, "--reference", shell)
            for option in options:
                self.assertIn(option, text)
                self.assertIn(option if shell != "fish" else f"-l {option[2:]}", script)

    def test_mcp_sqlites_own(self):
        text, _ = man(SOURCE / "tools" / "mcp-sqlite" / "mcp-sqlite.1")
        for option in re.findall(r"--[a-z-]+", run(BUILD / "bin" / "mcp-sqlite", "--help")):
            self.assertIn(option, text)


class Completions(unittest.TestCase):
    """What the shell offers, asked of the shell itself."""
    env = {"PATH": f"{BUILD / 'bin'}:{os.environ['PATH']}", "HOME": "/nonexistent", "LC_ALL": "C.UTF-8"}

    def bash(self, program, *words):
        script = (f"source {MADE}/bash/{program}\nCOMP_WORDS=({program} {' '.join(words)})\nCOMP_CWORD={len(words)}\n"
                  f"compopt() {{ :; }}\n_{program}\nprintf '%s\\n' \"${{COMPREPLY[@]}}\"")
        return run("bash", "-c", script, env=self.env).split()

    def test_bash(self):
        self.assertEqual(self.bash("tda", "sess"), ["sessions"])
        self.assertEqual(self.bash("tda", "sessions", "--so"), ["--socket", "--sort"])
        self.assertEqual(self.bash("tda", "complete", "f"), ["fish"])
        self.assertEqual(self.bash("tdad", "--set", "log."), ["log.level=", "log.format="])
        self.assertEqual(self.bash("tdad", "--ch"), ["--check"])
        self.assertIn("tda.yaml.5", self.bash("tdad", "--reference", "td"))

    @has_tool("zsh")
    def test_zsh(self):
        for name in ("tda", "tdad"):
            run("zsh", "-n", MADE / "zsh" / name, env=self.env)

    @has_tool("fish")
    def test_fish(self):
        run("fish", "-n", MADE / "fish" / "tda", env=self.env)
        self.assertIn("sessions", run("fish", "-c", f"source {MADE}/fish/tda; complete -C 'tda sess'", env=self.env))

    def test_unknown_shells_are_said(self):
        self.assertIn("bash, zsh or fish", run(TDA, "complete", "tcsh", code=2))
        self.assertIn("one of settings methods tdad.8", run(TDAD, "--reference", "nothing", code=2))


if __name__ == "__main__":
    unittest.main()
