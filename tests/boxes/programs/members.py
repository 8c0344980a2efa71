"""A fleet that sums numbers: the smallest use of the message channel, and what hostile members would do with it."""

import os
import socket
import struct
import time

from fedwright_crds.box import Box

FRAME = struct.Struct("<IIQ")
SERVER = 0xFFFFFFFF
BOX = Box.here()


class Channel:
    def __init__(self):
        self._line = socket.socket(fileno=int(os.environ["FEDWRIGHT_CHANNEL"]))

    def send(self, to, round_, payload):
        self._line.sendall(FRAME.pack(to, round_, len(payload)) + payload)

    def receive(self):
        """(sender, round, payload), or None when the other side has said its last word."""
        head = self._exactly(FRAME.size)
        if not head:
            return None
        sender, round_, size = FRAME.unpack(head)
        return sender, round_, self._exactly(size)

    def raw(self, data):
        self._line.sendall(data)

    def deafen(self):
        self._line.shutdown(socket.SHUT_RD)

    def hang_up(self):
        self._line.shutdown(socket.SHUT_WR)

    def pass_on(self, descriptor):
        socket.send_fds(self._line, [FRAME.pack(SERVER, 0, 4) + b"data"], [descriptor])

    def descriptors(self):
        return socket.recv_fds(self._line, FRAME.size + 4, 8)[1]

    def _exactly(self, size):
        data = b""
        while len(data) < size:
            chunk = self._line.recv(min(size - len(data), 1 << 20))
            if not chunk:
                return b""
            data += chunk
        return data


def main(argv):
    scenario, role, *number = argv
    play = globals()[f"{scenario}_{role}"]
    return play(Channel(), *map(int, number))


def sum_server(channel):
    total, clients = 0, int(BOX.input("clients").read_text())
    for round_ in range(3):
        for client in range(clients):
            channel.send(client, round_, b"%d" % total)
        answers = dict(channel.receive()[::2] for _ in range(clients))
        total += sum(map(int, answers.values()))
    BOX.output("sum").write_text(str(total))
    BOX.handover("checkpoint").joinpath("total").write_text(str(total))


def sum_client(channel, number):
    own = sorted(path.name for path in BOX.received("shards").iterdir())
    assert own == [f"client-{number}.txt"], own
    value = int(BOX.received("shards").joinpath(own[0]).read_text())
    while frame := channel.receive():
        sender, round_, _ = frame
        assert sender == SERVER
        channel.send(SERVER, round_, b"%d" % value)


def gossip_server(channel):
    channel.receive()


def gossip_client(channel, number):
    channel.send(1 - number, 0, b"psst")
    time.sleep(30)


def boast_server(channel):
    channel.receive()


def boast_client(channel, _):
    channel.raw(FRAME.pack(SERVER, 0, 1 << 40))
    time.sleep(30)


def flood_server(channel):
    time.sleep(30)


def flood_client(channel, _):
    while True:
        channel.send(SERVER, 0, bytes(1 << 20))


def empty_server(channel):
    time.sleep(30)


def empty_client(channel, _):
    """Frames without a payload, so small that holding one costs far more than it has bytes."""
    while True:
        channel.raw(FRAME.pack(SERVER, 0, 0) * 4096)


def deaf_server(channel):
    """Takes nothing, so that nothing of the flood has to be held."""
    channel.deafen()
    time.sleep(30)


deaf_client = empty_client


def numbers_server(channel):
    while channel.receive():
        pass


def numbers_client(channel, _):
    """Another round in each frame."""
    for round_ in range(0, 1 << 32, 4096):
        channel.raw(b"".join(FRAME.pack(SERVER, round_ + number, 0) for number in range(4096)))


def silent_server(channel):
    channel.send(0, 0, bytes(4 << 20))
    time.sleep(30)


def silent_client(channel, _):
    """Says its last word and never reads."""
    channel.hang_up()
    time.sleep(30)


def passing_server(channel):
    """Whether a descriptor comes with the message."""
    BOX.output("sum").write_text(str(channel.descriptors()))


def passing_client(channel, _):
    channel.pass_on(os.open("/box/in/clients", os.O_RDONLY))


def narcissist_server(channel):
    channel.send(SERVER, 0, b"to myself")
    time.sleep(30)


def narcissist_client(channel, _):
    time.sleep(30)


def stranger_server(channel):
    channel.send(99, 0, b"nobody")
    time.sleep(30)


stranger_client = narcissist_client


def halves_server(channel):
    channel.receive()


def halves_client(channel, _):
    """Half a frame, and then nothing."""
    channel.raw(FRAME.pack(SERVER, 0, 100)[:7])
    time.sleep(30)


def busy_server(channel):
    channel.receive()


def busy_client(channel, _):
    while True:
        pass


def greedy_server(channel):
    channel.receive()


def greedy_client(channel, number):
    kept = []
    while number == 1:
        kept.append(bytearray(os.urandom(1 << 16) * 256))
    time.sleep(30)


def broken_server(channel):
    channel.receive()


def broken_client(channel, number):
    if number == 1:
        raise ValueError("client 1 is broken")
    time.sleep(30)


def look_server(channel):
    BOX.output("sum").write_text(_listing())


def look_client(channel, number):
    BOX.root.joinpath("out").joinpath("sum").write_text("a client's lie")
    print(f"client {number} sees {_listing()}", flush=True)


def _listing():
    files = sorted(str(path.relative_to(BOX.root)) for path in BOX.root.rglob("*") if path.is_file())
    return " ".join(files)


def large_server(channel):
    for client in range(2):
        channel.send(client, 0, bytes(5 << 20))
    for _ in range(2):
        assert len(channel.receive()[2]) == 5 << 20
    BOX.output("sum").write_text("carried")


def large_client(channel, _):
    _, round_, payload = channel.receive()
    channel.send(SERVER, round_, payload)


def rounds_server(channel):
    clients = int(BOX.input("clients").read_text())
    for round_ in range(10):
        for client in range(clients):
            channel.send(client, round_, bytes(100_000))
        for _ in range(clients):
            channel.receive()


def rounds_client(channel, _):
    while frame := channel.receive():
        channel.send(SERVER, frame[1], bytes(50_000))
