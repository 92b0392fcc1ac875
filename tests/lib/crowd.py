"""Thousands of tunnels that are held open, by one thread: the targets' side accepts and says nothing."""

import errno
import resource
import select
import socket
import threading

AT_ONCE = 256  # tunnels that are asked for and not answered yet
APART = 256  # descriptors that a process needs for all else
SILENCE_S = 60


def room():
    """How many tunnels one proxy can hold under this machine's limit of descriptors: two each."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return 1 << 30 if hard == resource.RLIM_INFINITY else (hard - APART) // 2


class Holder:
    """Accepts whatever comes to its port and keeps it; what arrives is sent back."""

    def __init__(self):
        self.server = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self.port = self.server.getsockname()[1]
        self.taken, (self.wake, self.stop) = {}, socket.socketpair()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        poll = select.epoll()
        for one in (self.server, self.wake):
            one.setblocking(False)
            poll.register(one, select.EPOLLIN)
        while True:
            for fd, _ in poll.poll():
                if fd == self.wake.fileno():
                    poll.close()
                    return
                if fd == self.server.fileno():
                    self.accept(poll)
                else:
                    self.answer(poll, fd)

    def accept(self, poll):
        try:
            while True:
                one, _ = self.server.accept()
                self.taken[one.fileno()] = one
                poll.register(one, select.EPOLLIN)
        except BlockingIOError:
            pass

    def answer(self, poll, fd):
        one = self.taken[fd]
        try:
            data = one.recv(65536)
            if data:
                one.sendall(data)
                return
        except OSError:
            pass
        poll.unregister(fd)
        self.taken.pop(fd).close()

    def close(self):
        self.stop.send(b"x")
        self.thread.join()
        for one in (*self.taken.values(), self.server, self.wake, self.stop):
            one.close()


class Crowd:
    """Tunnels to `authority` by way of a proxy, opened some at a time; `socks` are their clients' ends."""

    def __init__(self, proxy, authority, n):
        self.socks, self.waiting, self.poll = [], {}, select.epoll()
        self.ask = f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n".encode()
        try:
            left = n
            while left or self.waiting:
                while left and len(self.waiting) < AT_ONCE:
                    self.begin(proxy.address)
                    left -= 1
                self.go_on()
        except BaseException:
            self.close()
            raise
        self.poll.close()

    def begin(self, address):
        sock = socket.socket()
        sock.setblocking(False)
        error = sock.connect_ex(address)
        assert error in (0, errno.EINPROGRESS), error
        self.waiting[sock.fileno()] = [sock, b""]
        self.poll.register(sock, select.EPOLLOUT)

    def go_on(self):
        events = self.poll.poll(SILENCE_S)
        assert events, f"{len(self.socks)} tunnels are open, and no more come"
        for fd, event in events:
            one = self.waiting[fd]
            if event == select.EPOLLOUT:
                one[0].send(self.ask)
                self.poll.modify(fd, select.EPOLLIN)
                continue
            one[1] += one[0].recv(4096)
            if one[1].endswith(b"\r\n\r\n"):
                assert one[1].startswith(b"HTTP/1.1 200 "), one[1]
                self.poll.unregister(fd)
                self.socks.append(self.waiting.pop(fd)[0])
            else:
                assert one[1], "the proxy closed a connection"

    def close(self):
        for sock in [*self.socks, *(one[0] for one in self.waiting.values())]:
            sock.close()
