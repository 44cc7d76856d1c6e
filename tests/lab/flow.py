# SPDX-License-Identifier: Apache-2.0
"""flow.py ADDRESS INTERVAL_S: echo requests until SIGINT, then an account as one line of JSON.

Unlike ping's, the account is exact at the end too: after SIGINT nothing more is sent, and what is
under way gets two seconds to come back. Says `first` when the first answer is in.
"""
import json
import os
import select
import signal
import socket
import struct
import sys
import time

GRACE_S = 2.0


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xffff)
    return ~(total + (total >> 16)) & 0xffff


class Echo:
    """Echo requests and replies of one family on a raw socket, told apart by identifier."""

    def __init__(self, address):
        self.v6 = ":" in address
        family, protocol = ((socket.AF_INET6, socket.IPPROTO_ICMPV6) if self.v6 else
                            (socket.AF_INET, socket.IPPROTO_ICMP))
        self.socket = socket.socket(family, socket.SOCK_RAW, protocol)
        self.socket.setblocking(False)
        self.address, self.id = address, os.getpid() & 0xffff
        self.request, self.reply = (128, 129) if self.v6 else (8, 0)

    def send(self, number):
        body = struct.pack("!I", number) + bytes(52)
        head = struct.pack("!BBHHH", self.request, 0, 0, self.id, number & 0xffff)
        if not self.v6:  # the kernel fills in ICMPv6's
            head = head[:2] + struct.pack("!H", checksum(head + body)) + head[4:]
        try:
            self.socket.sendto(head + body, (self.address, 0))
        except OSError:
            pass  # no route, for example: sent as far as the account goes, and lost

    def receive(self):
        """Numbers of the answers that are in."""
        while True:
            try:
                data, _ = self.socket.recvfrom(2048)
            except OSError:
                return
            if not self.v6:
                data = data[(data[0] & 15) * 4:]
            if len(data) >= 12 and data[0] == self.reply and struct.unpack_from("!H", data, 4)[0] == self.id:
                yield struct.unpack_from("!I", data, 8)[0]


def main():
    echo, interval_s = Echo(sys.argv[1]), float(sys.argv[2])
    answers, sent, stopping = {}, 0, []
    signal.signal(signal.SIGINT, lambda *_: stopping.append(time.monotonic()))
    due = time.monotonic()
    while True:
        now = time.monotonic()
        if stopping and (len(answers) == sent or now > stopping[0] + GRACE_S):
            break
        if not stopping and now >= due:
            sent += 1
            echo.send(sent)
            due = max(due + interval_s, now - 0.1)
        wait_s = 0.05 if stopping else max(0.0, min(due - now, 0.05))
        select.select([echo.socket], [], [], wait_s)
        for number in echo.receive():
            if not answers:
                print("first", flush=True)
            answers[number] = answers.get(number, 0) + 1
    missing = [n for n in range(1, sent + 1) if n not in answers]
    print(json.dumps({"sent": sent, "received": len(answers), "missing": missing[:200],
                      "duplicates": sum(answers.values()) - len(answers)}), flush=True)


if __name__ == "__main__":
    main()
