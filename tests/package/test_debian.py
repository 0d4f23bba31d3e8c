"""The Debian packages: what is in them, and that it works from there as it does from the build."""
import re
import subprocess
import unittest

from installed import BUILD, SOURCE, Installed, is_elf, os, run


class Packages(Installed):
    def control(self, package, field):
        return run("dpkg-deb", "-f", self.debs[package], field).strip()

    def test_each_has_what_belongs_there_and_asks_for_what_it_needs(self):
        self.assertEqual(set(self.debs), {"tda", "libtda-client0", "libtda-dev"})
        needs = {"tda": "libc6 libcurl4 libnng1 libsodium23 libsqlite3-0 libyaml-0-2 libsimdjson14 libssl3 libedit2 libstdc++6 systemd".split(),
                 "libtda-client0": ["libc6", "libnng1"], "libtda-dev": ["tda", "libtda-client0", "libnng-dev", "libsodium-dev", "libcurl4-openssl-dev", "libsimdjson-dev"]}
        for package, wanted in needs.items():
            found = {re.split(r"[ (]", d)[0] for d in self.control(package, "Depends").split(", ")}
            self.assertLessEqual(set(wanted), found, package)
        where = {"tda": ["bin/tdad", "bin/tda", "bin/mcp-sqlite", "libexec/tda/tda-launcher", "lib/systemd/system/tda.service", "lib/sysusers.d/tda.conf",
                         "share/man/man1/tda.1.gz", "share/man/man8/tdad.8.gz", "share/man/man5/tda.yaml.5.gz", "share/man/man7/tda-protocol.7.gz", "share/tda/sample.db",
                         "share/bash-completion/completions/tda", "share/zsh/vendor-completions/_tda", "share/fish/vendor_completions.d/tda.fish",
                         "share/doc/tda/copyright", "share/doc/tda/changelog.Debian.gz", "share/doc/tda/examples/team.yaml"],
                 "libtda-client0": ["share/doc/libtda-client0/copyright"],
                 "libtda-dev": ["include/tda/plugin.h", "include/tda/client.h", "libexec/tda/tda-plugin", "share/tda/plugin-templates/provider/c/plugin.c"]}
        for package, files in where.items():
            listed = run("dpkg-deb", "-c", self.debs[package])
            for name in files:
                self.assertIn(f" ./usr/{name}\n", listed, package)
        plugins = {p.name for p in self.root.glob("usr/lib/*/tda/plugins/*.so")}
        self.assertEqual(plugins, {p.name for p in (BUILD / "plugins").glob("*.so")})

    def test_the_operators_file_is_his(self):
        self.assertEqual(run("dpkg-deb", "--info", self.debs["tda"], "conffiles"), "/etc/tda/tda.yaml\n")
        self.assertEqual(sorted(str(p.relative_to(self.root)) for p in (self.root / "etc").rglob("*") if p.is_file()), ["etc/tda/tda.yaml"])

    def test_the_scripts_are_right_and_the_user_is_made(self):
        for script in ("postinst", "prerm", "postrm"):
            text = run("dpkg-deb", "--info", self.debs["tda"], script)
            subprocess.run(["sh", "-n"], input=text, text=True, check=True)
            self.assertIn("\nset -e\n", text)
        if os.geteuid() == 0:
            run("systemd-sysusers", f"--root={self.root}", "tda.conf")
            self.assertRegex((self.root / "etc" / "passwd").read_text(), r"(?m)^tda:x:\d+:\d+:[^:]*:/var/lib/tda:/usr/sbin/nologin$")
            for name in ("passwd", "shadow", "group", "gshadow"):
                (self.root / "etc" / name).unlink(missing_ok=True)

    def test_nothing_knows_where_it_was_built(self):
        for path in self.files():
            data = path.read_bytes()
            for place in (BUILD, SOURCE):
                self.assertNotIn(str(place).encode(), data, path)

    def test_every_library_is_found(self):
        elves = [p for p in self.files() if is_elf(p)]
        self.assertGreaterEqual(len(elves), 14)
        for path in elves:
            self.assertNotIn("not found", run("ldd", path))

    def test_the_installed_configuration_answers_a_question(self):
        text = (self.root / "etc" / "tda" / "tda.yaml").read_text()
        self.assertIn("/usr/share/tda/sample.db", text)
        config = self.home / "tda.yaml"
        config.write_text(text.replace("/usr/share/", f"{self.root}/usr/share/"))
        tdad, tda = self.root / "usr" / "bin" / "tdad", self.root / "usr" / "bin" / "tda"
        self.assertEqual(run(tdad, "--config", config, "--check", env=self.env()), f"configuration ok: {config}\n", "and no plugin is refused")
        with open(self.home / "log", "w") as log:
            daemon = subprocess.Popen([str(tdad), "--config", str(config)], env=self.env(), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            for _ in range(200):
                if " ready " in (self.home / "log").read_text() or daemon.poll() is not None:
                    break
                subprocess.run(["sleep", "0.05"], check=True)
            self.assertIsNone(daemon.poll(), (self.home / "log").read_text())
            run(tda, "configure", "--provider", "offline", "--model", "offline-1", "--mcp-server", "shop", env=self.env())
            self.assertIn("customers | table", run(tda, "ask", "Which tables are there?", env=self.env()))
            loaded = run(tda, "plugins", env=self.env())
            self.assertIn("amazon", loaded)
            self.assertNotIn("refused", loaded)
            self.assertTrue((self.home / "state" / "sessions.db").exists(), "the unit's folder")
        finally:
            daemon.terminate()
            self.assertEqual(daemon.wait(60), 0)

    def test_a_plugin_is_made_with_what_is_installed(self):
        pc = next(self.root.rglob("tda-plugin.pc")).parent
        tda = self.root / "usr" / "bin" / "tda"
        env = self.env(PKG_CONFIG_PATH=str(pc), TDA=str(tda))
        run(tda, "plugin", "new", "provider", "--lang", "c", "mine", "--dir", self.home, env=env)
        flags = run("make", "-C", self.home / "mine", env=env)
        self.assertIn("mine.so", flags)
        self.assertIn("it keeps the contract", run("make", "-C", self.home / "mine", "check", env=env))
        self.assertIn("run-test", run("make", "-C", self.home / "mine", "test", env=env))
        self.assertIn("openai", run(tda, "plugin", "list", env=self.env()), "the installed ones are found")
        (self.home / "mine" / "CMakeLists.txt").write_text("cmake_minimum_required(VERSION 3.25)\nproject(x C)\nfind_package(tda REQUIRED)\ntda_add_plugin(mine mine.c)\n")
        run("cmake", "-S", self.home / "mine", "-B", self.home / "b", f"-DCMAKE_PREFIX_PATH={self.root}/usr", env=env)
        run("cmake", "--build", self.home / "b", env=env)
        self.assertTrue((self.home / "b" / "plugins" / "mine.so").exists())


if __name__ == "__main__":
    unittest.main()
