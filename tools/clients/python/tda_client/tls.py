"""A TLS connection that one thread may read while others write, which an SSLSocket is not made for: it is never blocked in, and its calls stand
under a lock."""
import io
import select
import ssl
import threading


class TlsSocket(io.RawIOBase):
    """As much of a socket as is needed here. Takes the connected socket; its timeout holds for the handshake, and until settimeout."""

    def __init__(self, sock, context, host):
        self._timeout = sock.gettimeout()
        self._ssl = context.wrap_socket(sock, server_hostname=host)
        self._ssl.setblocking(False)
        self._lock = threading.Lock()

    def _do(self, call, *args):
        while True:
            with self._lock:
                try:
                    return call(*args)
                except ssl.SSLWantReadError:
                    event = select.POLLIN
                except ssl.SSLWantWriteError:
                    event = select.POLLOUT
            if self._ssl.fileno() < 0:
                raise OSError("closed")
            ready = select.poll()
            ready.register(self._ssl, event)
            if not ready.poll(None if self._timeout is None else self._timeout * 1000):
                raise TimeoutError("timed out")

    def recv(self, n):
        try:
            return self._do(self._ssl.recv, n)
        except ssl.SSLEOFError:
            return b""

    def sendall(self, data):
        data = memoryview(data)
        while data:
            data = data[self._do(self._ssl.send, data):]

    def readable(self):
        return True

    def readinto(self, buffer):
        data = self.recv(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def makefile(self, _mode):
        return io.BufferedReader(self)

    def settimeout(self, seconds):
        self._timeout = seconds

    def shutdown(self, how):
        self._ssl.shutdown(how)

    def close(self):
        if not self.closed:
            self._ssl.close()
        super().close()
