# SPDX-License-Identifier: Apache-2.0
"""What programs do with their sockets that key managers mostly do not (`cygnet wrap`)."""
import pytest

from lab.cygnet import Cygnet

# shared: a UDP socket on which ESP in UDP was asked for. ESP is the engine's, what begins with four zeros the program's.
_HEAD = """
import errno, os, socket, struct
ESP, IKE = bytes(range(1, 41)), bytes(4) + b"ike"
def udp(): return socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
def encapsulate(s): s.setsockopt(socket.IPPROTO_UDP, 100, 2)
def shared(port):
    s = udp()
    s.bind(("127.0.0.1", port))
    encapsulate(s)
    return s
def heard(s, *datagrams):
    for datagram in datagrams: udp().sendto(datagram, s.getsockname())
    s.settimeout(20)  # one comes; and what may come beside it has had its time
    found = []
    try:
        while True:
            found.append(s.recv(100))
            s.settimeout(1)
    except TimeoutError: return found
def in_use(kind, port):
    s = socket.socket(socket.AF_INET, kind)
    try: s.bind(("127.0.0.1", port))
    except OSError as error: return error.errno == errno.EADDRINUSE
    return False
def netlink():
    s = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 6)
    s.bind((0, 0))
    s.settimeout(20)
    return s
def message(kind, flags, body=b""): return struct.pack("=IHHII", 16 + len(body), kind, flags, 7, 0) + body
def acknowledged(answer): return struct.unpack_from("=IHHIIi", answer)[1:] == (2, 0x100, 7, os.getpid(), 0)
"""

_PROGRAMS = {
    "shares a port": "s = shared(14500); assert heard(s, ESP, IKE) == [IKE]",
    "binds the port a second time": """
s = shared(14500)
assert in_use(socket.SOCK_DGRAM, 14500)
assert heard(s, ESP, IKE) == [IKE]
""",
    "binds the same number for TCP": """
s, t = shared(14500), socket.create_server(("127.0.0.1", 14500))
assert in_use(socket.SOCK_STREAM, 14500)
assert heard(s, ESP, IKE) == [IKE]
""",
    "begins anew": """
s = shared(14500)
s.close()
s = shared(14500)
assert heard(s, ESP, IKE) == [IKE]
""",
    "asks, closes and opens another": """
s = udp()
encapsulate(s)
number = s.fileno()
s.close()
s = udp()
assert s.fileno() == number
s.bind(("127.0.0.1", 14500))
assert heard(s, ESP, IKE) == [ESP, IKE]
""",
    "connects a netlink socket": """
s = netlink()
s.connect((0, 0))
s.send(message(0x23, 5, bytes(4)))  # XFRM_MSG_GETSADINFO, acknowledged
assert acknowledged(s.recv(1000)) or acknowledged(s.recv(1000))
""",
    "has its answer when what asks returns": """
import select
s = socket.socket(15, socket.SOCK_RAW, 2)
ask = struct.pack("=BBBBHHII", 2, 9, 0, 0, 2, 0, 1, os.getpid())  # SADB_FLUSH
for way in (s.send, lambda m: os.write(s.fileno(), m), lambda m: os.writev(s.fileno(), [m[:4], m[4:]])):
    for _ in range(300):
        assert way(ask) == len(ask)
        assert select.select([s], [], [], 0)[0] and s.recv(1000) == ask
""",
    "asks for nothing, and wants to hear so": """
s = netlink()
s.send(message(1, 5))  # NLMSG_NOOP
assert acknowledged(s.recv(1000))
s.send(message(0x23, 4, bytes(4)))  # no request
assert acknowledged(s.recv(1000))
""",
    "looks before it reads, from two threads": """
import threading
s = netlink()
def ask():
    t = netlink()
    for _ in range(100):
        t.send(message(0x23, 5, bytes(4)))
        for _ in range(2):
            octets, _, flags, sender = t.recvmsg(1, 0, socket.MSG_PEEK | socket.MSG_TRUNC)
            assert flags & socket.MSG_TRUNC and sender == (0, 0) and len(t.recv(1000)) >= 20
threads = [threading.Thread(target=ask) for _ in range(2)]
for t in threads: t.start()
for t in threads: t.join()
child = os.fork()
d = socket.socket(fileno=os.dup(s.fileno()))
d.settimeout(20)  # what they share does not block
if child == 0:
    s.send(message(0x23, 5, bytes(4)))
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
assert d.recvfrom(1000)[1] == (0, 0) and acknowledged(d.recv(1000))
""",
}


@pytest.mark.parametrize("what", _PROGRAMS)
def test_a_program_that(net, what):
    daemon = Cygnet(net.gw_a)
    daemon.configure("", "workers=1")
    daemon.start()
    program = net.gw_a.dir / "program.py"
    program.write_text(_HEAD + _PROGRAMS[what] + "\nprint('well')\n")
    done = net.gw_a.run(daemon.ctl_command("wrap", "/usr/bin/python3", program), check=False)
    assert done.stdout == "well\n", done.stderr
