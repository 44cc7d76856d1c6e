# SPDX-License-Identifier: Apache-2.0
import re
import time

import pytest

from lab import Capture, Ping, transfer
from lab.cygnet import Cygnet, program
from lab.net import wait_until

KEY_AB = "0x" + "11" * 16 + "a1a2a3a4"
KEY_BA = "0x" + "22" * 16 + "b1b2b3b4"
AEAD = {"ab": f"-E aes-gcm-16 {KEY_AB}", "ba": f"-E aes-gcm-16 {KEY_BA}"}
SHA256 = "0x" + "33" * 32
CBC = {"ab": f"-E aes-cbc 0x{'44' * 32} -A hmac-sha256 {SHA256}",
       "ba": f'-E aes-cbc "sixteen letters!" -A hmac-sha256 {SHA256}'}
CUT = {way: words.replace("hmac-sha256 ", "hmac-sha256-96 ") for way, words in CBC.items()}


class Engine:
    """cygnetd without connections, and setkey beside it."""

    def __init__(self, host):
        self.daemon = Cygnet(host)
        self.daemon.configure("")
        self.daemon.start()

    def setkey(self, *words, text=None, check=True):
        return self.daemon.host.run([program("setkey"), "--run-dir", self.daemon.run_dir, *words], input=text,
                                    check=check)

    def run(self, text):
        return self.setkey("-c", text=text)

    def sas(self):
        """{spi: (packets, octets)} of setkey -D."""
        found = {}
        for block in re.split(r"(?m)^(?=\S)", self.setkey("-D").stdout):
            spi = re.search(r"spi=(\d+)\(", block)
            if spi:
                found[int(spi[1])] = (int(re.search(r"allocated: (\d+)", block)[1]),
                                      int(re.search(r"current: (\d+)\(bytes\)", block)[1]))
        return found


def engines(net):
    return Engine(net.gw_a), Engine(net.gw_b)


def tunnel_script(net, inner, outer, keys, mine):
    a, b = net.wan("a", outer), net.wan("b", outer)
    lan_a, lan_b = net.lan("a", inner), net.lan("b", inner)
    out, back = ("out", "in") if mine == "a" else ("in", "out")
    return f"""
        flush; spdflush;
        add {a} {b} esp 0x1001 -m tunnel -r 32 {keys["ab"]};   # comments are skipped
        add {b} {a} esp 0x2002 -m tunnel -r 32 \\
            {keys["ba"]};
        spdadd {lan_a} {lan_b} any -P {out} prio def ipsec esp/tunnel/{a}-{b}/require;
        spdadd {lan_b} {lan_a} any -P {back} ipsec esp/tunnel/{b}-{a}/require;
    """


@pytest.mark.parametrize("inner,outer,keys", [(4, 4, AEAD), (6, 6, AEAD), (4, 6, CBC), (6, 4, CUT)],
                         ids=["v4", "v6", "v4-over-v6-cbc", "v6-over-v4-cut96"])
def test_tunnel(net, inner, outer, keys):
    a, b = engines(net)
    a.run(tunnel_script(net, inner, outer, keys, "a"))
    b.run(tunnel_script(net, inner, outer, keys, "b"))
    wait_until(lambda: f"{net.lan('b', inner)} dev ipsec0" in net.gw_a.routes(inner, "all") and
               f"{net.lan('a', inner)} dev ipsec0" in net.gw_b.routes(inner, "all"), 5, "routes lead into the device")
    with Capture(net.gw_a, "wan") as wire:
        ping = Ping.once(net.host_a, net.host_address("b", inner), count=5, interval_s=0.05)
    assert ping.received == 5 and ping.duplicates == 0, ping.text
    assert wire.count("net 10.0.0.0/8 or net fd00::/8") == 0
    assert wire.count("ip proto 50" if outer == 4 else "ip6 proto 50") == 10
    octets = 5 * (84 if inner == 4 else 104)
    assert a.sas() == b.sas() == {0x1001: (5, octets), 0x2002: (5, octets)}
    sent, received, _ = transfer(net.host_a, net.host_b, net.host_address("b", inner), 5)
    assert sent == received
    a.setkey("-F")
    assert Ping.once(net.host_a, net.host_address("b", inner), wait_s=0.5).received == 0
    a.setkey("-F", "-P")
    wait_until(lambda: f"{net.lan('b', inner)} dev ipsec0" not in net.gw_a.routes(inner, "all"), 5, "the route is gone")
    assert a.setkey("-D").stdout == "No SAD entries.\n"
    assert a.setkey("-D", "-P").stdout == "No SPD entries.\n"


@pytest.mark.parametrize("family", [4, 6])
def test_transport(net, family):
    a, b = engines(net)
    ip_a, ip_b = net.wan("a", family), net.wan("b", family)
    for engine, out, back in ((a, "out", "in"), (b, "in", "out")):
        engine.run(f"""
            add {ip_a} {ip_b} esp 0x1001 -m transport {AEAD["ab"]};
            add {ip_b} {ip_a} esp 0x2002 -m transport {AEAD["ba"]};
            spdadd {ip_a} {ip_b} any -P {out} ipsec esp/transport//require;
            spdadd {ip_b} {ip_a} any -P {back} ipsec esp/transport//require;""")
    a.daemon.wait_route(ip_b)
    b.daemon.wait_route(ip_a)
    with Capture(net.gw_a, "wan") as wire:
        ping = Ping.once(net.gw_a, ip_b, count=5, interval_s=0.05)
    assert ping.received == 5, ping.text
    assert wire.count("ip proto 50" if family == 4 else "ip6 proto 50") == 10
    assert wire.count("icmp or (icmp6 and (ip6[40] == 128 or ip6[40] == 129))") == 0
    assert [packets for packets, _ in a.sas().values()] == [packets for packets, _ in b.sas().values()] == [5, 5]


def test_what_people_see(net):
    a = Engine(net.gw_a)
    a.run(tunnel_script(net, 4, 4, AEAD, "a"))
    shown = a.setkey("-D").stdout
    assert re.search(r"^192\.0\.2\.2 198\.51\.100\.2 \n\tesp mode=tunnel spi=4097\(0x00001001\) "
                     r"reqid=0\(0x00000000\)\n\tE: aes-gcm-16  \(160 bits, hidden: --show-keys shows them\)\n"
                     r"\tseq=0x00000000 replay=32 flags=0x00000000 state=mature \n\tcreated: ", shown, re.M), shown
    assert "11111111 11111111 11111111 11111111 a1a2a3a4" in a.setkey("-D", "--show-keys").stdout
    a.daemon.wait_log("asked to see keys")
    policies = a.setkey("-DP").stdout
    assert re.search(r"^10\.1\.0\.0/24\[any\] 10\.2\.0\.0/24\[any\] any\n\tout prio def ipsec\n"
                     r"\tesp/tunnel/192\.0\.2\.2-198\.51\.100\.2/require\n\tcreated: ", policies, re.M), policies
    assert "\tfwd ipsec\n" in policies
    wrong = a.setkey("-c", text="flush;\nadd 192.0.2.2 198.51.100.2 esp 7 -E null;\n", check=False)
    assert wrong.returncode == 1
    assert "(standard input):2:32: error: SPIs up to 255 are reserved" in wrong.stderr
    assert len(a.sas()) == 2, "nothing of a faulty script is carried out"
    twice = a.setkey("-c", text=f"add 192.0.2.2 198.51.100.2 esp 0x1001 -m tunnel {AEAD['ab']};", check=False)
    assert twice.returncode == 1
    assert "1:1: the result of line 1: File exists (ADD: there is an SA with SPI 0x00001001" in twice.stderr
    algorithms = a.setkey("--algorithms").stdout
    assert "-E aes-gcm-16\t128 to 256 bits\n" in algorithms and "-A hmac-sha256\t256 bits\n" in algorithms


def test_switches_of_show(net):
    """-x and -h: what somebody else does, as it happens; -l, -a, -k and -r."""
    a = Engine(net.gw_a)
    watch = lambda *words: a.daemon.host.spawn([program("setkey"), "--run-dir", a.daemon.run_dir, *words], name=words[0][1:])
    watchers = [watch("-x"), watch("-h", "-x"), watch("-x", "-x")]
    for one in watchers:
        # Once it listens, it hears of each other program.
        wait_until(lambda: a.setkey("-D") and "CYGNET_OPTIONS" in one.read_log(), 5, "messages are shown")
    a.run("add 192.0.2.2 198.51.100.2 esp 0x1001 -m tunnel " + AEAD["ab"] + ";")
    shown = [one.wait_log("encrypt=aes-gcm-16") and one.read_log() for one in watchers]
    for text in shown:
        assert re.search(r"ADD type=3 errno=0 satype=esp seq=\d+ pid=\d+\n\tfrom 192\.0\.2\.2\[any\] protocol=\d+\n"
                         r"\tto 198\.51\.100\.2\[any\]\n\tspi=0x00001001 ", text), text
        assert "11111111" not in text  # keys are not among it
    dump = re.compile(r"^00000000: 02030003 ", re.M)  # version 2, ADD, no error, ESP
    assert [bool(dump.search(text)) for text in shown] == [False, True, False]
    assert re.search(r"(?m)^\d{10}\.\d+$", shown[2]) and not re.search(r"(?m)^\d{10}\.\d+$", shown[0]), shown[2]
    for one in watchers:
        one.stop()
    lines = a.daemon.host.spawn([program("setkey"), "--run-dir", a.daemon.run_dir, "-D", "-l"], name="l")
    wait_until(lambda: lines.read_log().count("00001001") >= 2, 5, "the SA is listed each second")
    lines.stop()
    assert "0x00001001" in a.setkey("-D", "-a").stdout
    # A policy for what comes in is accompanied by one for what is forwarded, unless it is to be just as it is written.
    policy = "spdadd 10.2.0.0/24 10.1.0.0/24 any -P in ipsec esp/tunnel/198.51.100.2-192.0.2.2/require;"
    for words, forwarded in (("-k", False), ("-r", True)):
        a.setkey("-F", "-P")
        a.setkey(words, "-c", text=policy)
        assert ("\tfwd ipsec\n" in a.setkey("-DP").stdout) == forwarded


def test_ike_dies_and_keys_stay(net):
    a, b = engines(net)
    a.run(tunnel_script(net, 4, 4, AEAD, "a"))
    b.run(tunnel_script(net, 4, 4, AEAD, "b"))
    a.daemon.wait_route(net.host_address("b"))
    b.daemon.wait_route(net.host_address("a"))
    old = a.daemon.kill("ike")
    assert Ping.once(net.host_a, net.host_address("b"), count=3).lost == 0
    a.daemon.wait_role("ike", old)
    assert Ping.once(net.host_a, net.host_address("b"), count=3).lost == 0
    assert len(a.sas()) == 2
    assert "10.2.0.0/24 dev ipsec0" in net.gw_a.routes(4, "all")


def test_many_clients_and_one_that_sleeps(net):
    a = Engine(net.gw_a)
    script = net.gw_a.dir / "clients.py"
    script.write_text(f"""
import resource, socket, struct
resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
path = "{a.daemon.run_dir}/pfkey.sock"
def connect():
    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    s.connect(path)
    s.settimeout(60)
    return s
clients = [connect() for _ in range(1000)]
flush = struct.pack("=BBBBHHII", 2, 9, 0, 0, 2, 0, 1, 7)
statistics = struct.pack("=BBBBHHII", 2, 201, 0, 0, 2, 0, 2, 7)
for c in clients:  # who has been answered has been taken in
    c.send(statistics)
    assert b"clients-accepted" in c.recv(65536)
clients[0].send(flush)
assert all(c.recv(65536) == flush for c in clients)
print("all told")
sleeper = clients.pop()
for c in clients[1:]: c.close()
me = clients[0]
closed = 0
for n in range(200000):
    me.send(flush)
    assert me.recv(65536) == flush
    if n % 5000 == 0:
        me.send(statistics)
        text = me.recv(65536)
        if b"clients-cut-off 1" in text:
            print("cut off")
            break
""")
    done = net.gw_a.run(["/usr/bin/python3", script], timeout_s=120)
    assert done.stdout == "all told\ncut off\n", done.stdout + done.stderr
    a.daemon.wait_log("does not read what it is told and is cut off")
    a.run(tunnel_script(net, 4, 4, AEAD, "a"))
    assert len(a.sas()) == 2


def test_ten_thousand_sas(net):
    a = Engine(net.gw_a)
    lines = "".join(f"add 192.0.2.2 198.51.{n >> 8}.{n & 255} esp {0x1000 + n} {AEAD['ab']};\n" for n in range(10000))
    started = time.monotonic()
    a.run(lines)
    print(f"10,000 SAs in {time.monotonic() - started:.2f} s")
    assert len(a.sas()) == 10000
    a.run("deleteall 192.0.2.2 198.51.0.7 esp;")
    assert len(a.sas()) == 9999
    a.setkey("-F")
    assert a.sas() == {}


def test_programs_for_the_kernels_pf_key_reach_the_engine(net):
    a = Engine(net.gw_a)
    a.run(tunnel_script(net, 4, 4, AEAD, "a"))
    wrapped = net.gw_a.run(a.daemon.ctl_command("wrap", program("setkey"), "--kernel", "-D")).stdout
    assert "spi=4097(0x00001001)" in wrapped and "spi=8194(0x00002002)" in wrapped
    assert "E: aes-gcm-16  00000000 00000000 00000000 00000000 00000000" in wrapped, "keys stay hidden"
    a.daemon.stop()
    gone = net.gw_a.run(a.daemon.ctl_command("wrap", "true"), check=False)
    assert gone.returncode == 1 and "is cygnetd running" in gone.stderr
