# SPDX-License-Identifier: Apache-2.0
"""echo.py ADDRESS COUNT INTERVAL_S WAIT_S [SIZE [FRAGMENTS [SOURCE]]]: so many echo requests, and what came back.

As ping does it, but for the end: of several, ping waits for the last answer no longer than the others took (or an
interval), and calls lost what a busy machine brings a moment later. Here each answer has WAIT_S from when the last request
is sent. SIZE: octets behind the ICMP header; FRAGMENTS: as ping's -M; SOURCE: an address.
"""
import os
import select
import socket
import struct
import sys
import time

SIZE = 56
FRAGMENTS = {"dont": 0, "want": 1, "do": 2}


def checksum(data):
    data += bytes(len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total >> 16) + (total & 0xffff)
    return ~total & 0xffff


class Echo:
    """Echo requests and replies of one family on a raw socket, told apart by identifier and numbered from 1."""

    def __init__(self, address, size=SIZE, fragments="", source="", random=False):
        self.v6 = ":" in address
        family, protocol = ((socket.AF_INET6, socket.IPPROTO_ICMPV6) if self.v6 else
                            (socket.AF_INET, socket.IPPROTO_ICMP))
        self.socket = socket.socket(family, socket.SOCK_RAW, protocol)
        self.socket.setblocking(False)
        if fragments:
            # IP_MTU_DISCOVER and IPV6_MTU_DISCOVER of Linux
            level, option = (socket.IPPROTO_IPV6, 23) if self.v6 else (socket.IPPROTO_IP, 10)
            self.socket.setsockopt(level, option, FRAGMENTS[fragments])
        if source:
            self.socket.bind((source, 0))
        self.address, self.id, self.size = address, os.getpid() & 0xffff, size
        self.filling = os.urandom if random else bytes
        self.request, self.reply = (128, 129) if self.v6 else (8, 0)

    def send(self, number):
        # The whole number where there is room for it; the header has its lower half.
        body = (struct.pack("!I", number) + self.filling(max(self.size - 4, 0)))[:self.size]
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
                data, _ = self.socket.recvfrom(1 << 16)
            except BlockingIOError:
                return
            except OSError:
                continue  # an error that an earlier request met, which stands before what else is there
            if not self.v6:
                data = data[(data[0] & 15) * 4:]
            if len(data) == 8 + self.size and data[0] == self.reply and struct.unpack_from("!H", data, 4)[0] == self.id:
                yield struct.unpack_from("!I", data, 8)[0] if self.size >= 4 else struct.unpack_from("!H", data, 6)[0]


def main():
    address, count, interval_s, wait_s, *more = sys.argv[1:]
    size, fragments, source = more + [SIZE, "", ""][len(more):]
    echo, count, interval_s, wait_s = Echo(address, int(size), fragments, source), int(count), float(interval_s), float(wait_s)
    sent, answered, duplicates = 0, set(), 0
    due = time.monotonic()
    while len(answered) < count:
        now = time.monotonic()
        if now >= due:
            if sent == count:
                break
            sent += 1
            echo.send(sent)
            due = now + (interval_s if sent < count else wait_s)
        select.select([echo.socket], [], [], max(0.0, due - time.monotonic()))
        for number in echo.receive():
            duplicates += number in answered
            answered.add(number)
    missing = [number for number in range(1, count + 1) if number not in answered]
    print(f"{count} packets transmitted, {len(answered)} received" + (f", +{duplicates} duplicates" if duplicates else ""))
    if missing:
        print("missing:", *missing)


if __name__ == "__main__":
    main()
