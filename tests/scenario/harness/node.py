"""Where tools/node-setup has put Node and the peers: BUILD/node, or TDA_NODE_DIR."""
import os
import pathlib

from .daemon import BUILD

NODE_DIR = pathlib.Path(os.environ.get("TDA_NODE_DIR", BUILD / "node"))
NODE = NODE_DIR / "runtime" / "bin" / "node"
MODULES = NODE_DIR / "node_modules"


def need_node():
    if not NODE.exists():
        raise AssertionError(f"the real peers are not in {NODE_DIR}: run tools/node-setup {BUILD}")
