"""Between a client and a daemon, to cut the way at a chosen point."""
import socket
import threading
import time

from harness.client import connect


class Proxy:
    """url: what the client dials; target: where it leads, and may be changed. cut_at(marker, where) arms one cut, by what the client sends:

    "request": in the middle of the request with the marker    "reply": in the middle of its reply    "between": once the request is through"""

    def __init__(self, target, folder=None):
        self.target = target
        self.marker = self.where = None
        self.cuts = self.connections = 0
        self.pairs = []
        if folder:
            self.url = f"ipc://{folder}/proxy.sock"
            self.listener = socket.socket(socket.AF_UNIX)
            self.listener.bind(self.url[6:])
        else:
            self.listener = socket.socket()
            self.listener.bind(("127.0.0.1", 0))
            self.url = f"tcp://127.0.0.1:{self.listener.getsockname()[1]}"
        self.listener.listen(64)
        threading.Thread(target=self.accept, daemon=True).start()

    def cut_at(self, marker, where):
        self.marker, self.where = marker, where

    def cut_now(self):
        for pair in self.pairs:
            pair.cut()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            try:
                daemon = connect(self.target)
                daemon.settimeout(None)
            except OSError:
                client.close()
                continue
            pair = Pair(self, client, daemon)
            self.pairs.append(pair)
            threading.Thread(target=pair.up, daemon=True).start()
            threading.Thread(target=pair.down, daemon=True).start()

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


class Pair:
    def __init__(self, proxy, client, daemon):
        self.proxy, self.client, self.daemon = proxy, client, daemon
        self.ended = 0
        self.armed = False  # the next bytes down are the reply to be cut

    def cut(self):
        self.proxy.cuts += 1
        self.end()

    def up(self):
        p = self.proxy
        try:
            while data := self.client.recv(65536):
                if p.marker and p.marker in data:
                    where, p.marker = p.where, None
                    if where == "request":
                        self.daemon.sendall(data[:len(data) // 2])
                        time.sleep(0.05)
                        return self.cut()
                    self.armed = where == "reply"
                    self.daemon.sendall(data)
                    if where == "between":
                        time.sleep(0.2)
                        return self.cut()
                else:
                    self.daemon.sendall(data)
        except OSError:
            pass
        self.end()

    def down(self):
        try:
            while data := self.daemon.recv(65536):
                if self.armed:
                    self.client.sendall(data[:len(data) // 2])
                    return self.cut()
                self.client.sendall(data)
        except OSError:
            pass
        self.end()

    def end(self):
        for s in (self.client, self.daemon):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        self.ended += 1
        if self.ended == 2:  # both ways
            self.client.close()
            self.daemon.close()
