"""socket, select, ssl and what is built on them, inside actors: they park, and behave as before elsewhere."""

from __future__ import annotations

import contextlib
import errno
import http.client
import http.server
import os
import select
import selectors
import socket
import socketserver
import threading
import urllib.request

import pytest

import smarm

LOCAL = ("127.0.0.1", 0)


@pytest.fixture
def pair():
    one, other = socket.socketpair()
    with one, other:
        yield one, other


def fill(sock):
    """Write until there is no room; the mode stays as it was."""
    timeout = sock.gettimeout()
    sock.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True:
            sock.send(bytes(65536))
    sock.settimeout(timeout)


def empty(sock):
    """Read until there is nothing."""
    sock.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True:
            sock.recv(1 << 20)


RECEIVE = {
    "recv": lambda it: it.recv(10),
    "recv_into": lambda it: it.recv_into(bytearray(10)),
    "recvfrom": lambda it: it.recvfrom(10),
    "recvfrom_into": lambda it: it.recvfrom_into(bytearray(10)),
    "recvmsg": lambda it: it.recvmsg(10),
    "recvmsg_into": lambda it: it.recvmsg_into([bytearray(10)]),
    "readinto": lambda it: it.makefile("rb", buffering=0).readinto(bytearray(10)),
}
SEND = {
    "send": lambda it: it.send(b"x"),
    "sendall": lambda it: it.sendall(b"x"),
    "sendmsg": lambda it: it.sendmsg([b"x"]),
}


@pytest.mark.parametrize("timeout", [None, 1e6])
@pytest.mark.parametrize("name", RECEIVE)
def test_receiving_parks(alone, pair, name, timeout, wait_until_parked):
    def main():
        pair[0].settimeout(timeout)
        readers = [smarm.spawn(lambda: RECEIVE[name](pair[0])) for _ in range(2)]
        for reader in readers:
            wait_until_parked(reader.pid)
        pair[1].send(b"x")  # wakes both: one of them must park again
        while all(smarm.process_info(reader.pid) for reader in readers):
            smarm.yield_now()
        pair[1].send(b"y")
        return [reader.join() for reader in readers]

    assert len(alone(main)) == 2


@pytest.mark.parametrize("timeout", [None, 1e6])
@pytest.mark.parametrize("name", SEND)
def test_sending_parks(alone, pair, name, timeout, wait_until_parked):
    def main():
        pair[0].settimeout(timeout)
        fill(pair[0])
        writer = smarm.spawn(lambda: SEND[name](pair[0]))
        wait_until_parked(writer.pid)
        empty(pair[1])
        return writer.join()

    assert alone(main) in (1, None)


def test_much_data_through_blocking_sockets(alone, pair):
    data = os.urandom(2 << 20)

    def main():
        writer = smarm.spawn(lambda: pair[0].sendall(data))
        got = bytearray()
        while len(got) < len(data):
            got += pair[1].recv(65536)
        writer.join()
        assert got == data

    alone(main)


def test_timeouts_are_those_of_the_socket(alone, pair):
    def main():
        pair[0].settimeout(0.001)
        fill(pair[0])
        for call in (lambda: pair[0].recv(1), lambda: pair[0].send(b"x"), lambda: pair[0].sendall(b"x")):
            with pytest.raises(TimeoutError, match="timed out"):
                call()
        with socket.create_server(LOCAL) as server:
            server.settimeout(0.001)
            with pytest.raises(TimeoutError):
                server.accept()

    alone(main)


def test_nonblocking_sockets_stay_so(alone, pair):
    def main():
        pair[0].setblocking(False)
        with pytest.raises(BlockingIOError):
            pair[0].recv(1)
        with socket.create_server(LOCAL) as server, socket.socket() as client:
            client.setblocking(False)
            assert client.connect_ex(server.getsockname()) in (0, errno.EINPROGRESS)

    alone(main)


def test_connect_and_accept_park(alone, wait_until_parked):
    def main():
        with socket.create_server(LOCAL) as server:
            accepting = smarm.spawn(lambda: server.accept()[0].close())
            wait_until_parked(accepting.pid)
            with socket.create_connection(server.getsockname()) as client:
                assert client.gettimeout() is None
                assert client.recv(1) == b""
            accepting.join()
            address = server.getsockname()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address)
        with socket.socket() as client:
            client.settimeout(1e6)
            assert client.connect_ex(address) == errno.ECONNREFUSED
            assert client.gettimeout() == 1e6
        with socket.socket(socket.AF_UNIX) as client, pytest.raises(FileNotFoundError):
            client.connect("/no/such/socket")
        with socket.socket() as client, pytest.raises(TypeError):
            client.connect("not a tuple")

    alone(main)


def test_closing_a_socket_ends_the_waits_for_it(alone, pair, wait_until_parked):
    def main():
        reader = smarm.spawn(lambda: pair[0].recv(1))
        wait_until_parked(reader.pid)
        pair[0].close()
        with pytest.raises(smarm.ActorFailed) as failed:
            reader.join()
        assert failed.value.__cause__.errno == errno.EBADF

    alone(main)


def test_names_are_looked_up_on_the_pool(alone):
    def main():
        before = smarm.statistics().workers[0].blocking.calls
        assert socket.getaddrinfo("127.0.0.1", 80)
        assert smarm.statistics().workers[0].blocking.calls == before
        assert socket.getaddrinfo("localhost", 80)
        assert socket.gethostbyname("localhost") == "127.0.0.1"
        assert smarm.statistics().workers[0].blocking.calls == before + 2
        with pytest.raises(socket.gaierror):
            socket.getaddrinfo("no-such-host.invalid", 80)

    alone(main)


# ---- select ----------------------------------------------------------------------------------------------------------


def by_select(sock):
    return select.select([sock], [], [])[0] == [sock]


def by_poll(sock):
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return poll.poll() == [(sock.fileno(), select.POLLIN)]


def by_epoll(sock):
    with select.epoll() as epoll:
        epoll.register(sock, select.EPOLLIN)
        return epoll.poll(maxevents=1) == [(sock.fileno(), select.EPOLLIN)]


def by_selector(sock):
    with selectors.DefaultSelector() as selector:
        selector.register(sock, selectors.EVENT_READ)
        return [key.fileobj for key, _ in selector.select()] == [sock]


@pytest.mark.parametrize("wait", [by_select, by_poll, by_epoll, by_selector])
def test_selecting_parks(alone, pair, wait, wait_until_parked):
    def main():
        waiter = smarm.spawn(lambda: wait(pair[0]))
        wait_until_parked(waiter.pid)
        pair[1].send(b"x")
        assert waiter.join()
        assert wait(pair[0])

    alone(main)


def test_selecting_with_timeouts(alone, pair):
    def main():
        for timeout in (0, 0.001):
            assert select.select([pair[0]], [], [pair[0]], timeout) == ([], [], [])
            assert select.select([pair[0]], [pair[0]], [], timeout) == ([], [pair[0]], [])
        assert select.select([], [], [], 0.001) == ([], [], [])
        with pytest.raises(ValueError, match="non-negative"):
            select.select([], [], [], -1)
        with pytest.raises(TypeError):
            select.select([pair[0]], [], [], "1")
        with pytest.raises(ValueError, match="negative"):
            select.select([-1], [], [])
        poll = select.poll()
        assert poll.poll(1) == []
        poll.register(pair[0], select.POLLIN)
        assert poll.poll(1) == []
        with select.epoll() as epoll:
            epoll.register(pair[0], select.EPOLLIN)
            assert epoll.poll(0.001) == []
            assert epoll.poll(timeout=0.001, maxevents=3) == []

    alone(main)


# ---- ssl -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("timeout", [None, 1e6])
def test_ssl_sockets_park(alone, certificate, timeout, wait_until_parked):
    data = os.urandom(1 << 19)

    def serve(server):
        accepted, _ = server.accept()
        accepted.settimeout(timeout)
        with certificate[0].wrap_socket(accepted, server_side=True) as wrapped:
            got = bytearray()
            while len(got) < len(data):
                got += wrapped.recv(65536)
            wrapped.sendall(got)
            wrapped.unwrap().close()

    def main():
        with socket.create_server(LOCAL) as server:
            serving = smarm.spawn(lambda: serve(server))
            raw = socket.create_connection(server.getsockname())
            raw.settimeout(timeout)
            with certificate[1].wrap_socket(raw, server_hostname="localhost") as client:
                client.sendall(data)
                got = bytearray()
                while len(got) < len(data):
                    got += client.recv(65536)
                assert got == data
                assert client.gettimeout() == timeout
                client.unwrap().close()
            serving.join()

    alone(main)


def test_ssl_timeouts(alone, certificate):
    def main():
        with socket.create_server(LOCAL) as server, socket.create_connection(server.getsockname()) as raw:
            raw.settimeout(0.01)
            with pytest.raises(TimeoutError):
                certificate[1].wrap_socket(raw, server_hostname="localhost")  # nobody answers

    alone(main)


# ---- what is built on them -------------------------------------------------------------------------------------------


class Hello(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = self.path.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


@pytest.mark.parametrize("kind", [http.server.HTTPServer, http.server.ThreadingHTTPServer])
def test_an_http_server_and_its_clients(alone, kind):
    def fetch(url, i):
        with urllib.request.urlopen(f"{url}/{i}") as answer:
            return answer.read()

    def main():
        with kind(LOCAL, Hello) as server:
            serving = smarm.spawn(lambda: server.serve_forever(poll_interval=60))
            url = "http://{}:{}".format(*server.server_address)
            fetches = [smarm.spawn(lambda i=i: fetch(url, i)) for i in range(10)]
            assert [it.join() for it in fetches] == [b"/%d" % i for i in range(10)]
            stopping = smarm.spawn(server.shutdown, on="local")
            with socket.create_connection(server.server_address):  # it looks for the request when it wakes
                stopping.join()
            serving.join()

    alone(main)


def test_an_https_request(alone, certificate):
    def main():
        with http.server.HTTPServer(LOCAL, Hello) as server:
            server.socket = certificate[0].wrap_socket(server.socket, server_side=True)
            handling = smarm.spawn(server.handle_request, on="local")
            client = http.client.HTTPSConnection(*server.server_address, context=certificate[1])
            client.request("GET", "/secret")
            assert client.getresponse().read() == b"/secret"
            client.close()
            handling.join()

    alone(main)


def test_requests(alone):
    requests = pytest.importorskip("requests")

    def main():
        with socketserver.TCPServer(LOCAL, Hello) as server:
            handling = smarm.spawn(server.handle_request, on="local")
            with requests.get("http://{}:{}/x".format(*server.server_address), timeout=60) as answer:
                assert answer.content == b"/x"
            handling.join()

    alone(main)


def fetch_in_worker(url):
    with urllib.request.urlopen(url) as answer:
        return smarm.worker_index(), answer.read()


def test_other_workers_park_as_well():
    def main():
        with http.server.HTTPServer(LOCAL, Hello) as server:
            url = "http://{}:{}/".format(*server.server_address)
            fetches = [smarm.spawn(fetch_in_worker, url + str(i), on=1) for i in range(3)]
            for _ in fetches:
                server.handle_request()
            return [fetch.join() for fetch in fetches]

    assert smarm.run(main, workers=2) == [(1, b"/%d" % i) for i in range(3)]


# ---- elsewhere -------------------------------------------------------------------------------------------------------


def test_threads_and_programs_without_actors_are_as_before(alone, pair):
    def talk():
        """Block in every kind of call."""
        one, other = socket.socketpair()
        with one, other:
            one.settimeout(0.001)
            with pytest.raises(TimeoutError):
                one.recv(1)
            one.settimeout(None)
            answering = threading.Thread(target=lambda: other.sendall(other.recv(10)))
            answering.start()
            one.sendall(b"hello")
            assert one.recv(10) == b"hello"
            answering.join()
            assert select.select([one], [one], [], 0.001) == ([], [one], [])
        with socket.create_server(LOCAL) as server, socket.create_connection(server.getsockname()) as client:
            server.accept()[0].close()
            assert client.recv(1) == b""
        return "done"

    def main():
        return smarm.block_on_io(talk)

    assert alone(main) == "done"
    assert talk() == "done"
