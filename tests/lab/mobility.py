# SPDX-License-Identifier: Apache-2.0
"""Messages of Mobile IPv6 (RFC 6275 section 6.1) on a raw socket.

mobility.py send FROM TO TYPE...: a Mobility Header of each type, as long as the longest of them must be.
mobility.py listen: prints the type and the sender of each that comes, until it is killed.
"""
import socket
import sys

NO_NEXT_HEADER, MOBILITY, OCTETS = 59, 135, 24

# The kernel fills the checksum in, and looks at it where one comes in.
channel = socket.socket(socket.AF_INET6, socket.SOCK_RAW, MOBILITY)
if sys.argv[1] == "send":
    channel.bind((sys.argv[2], 0))
    for kind in sys.argv[4:]:
        header = bytes([NO_NEXT_HEADER, OCTETS // 8 - 1, int(kind), 0])
        channel.sendto(header.ljust(OCTETS, b"\0"), (sys.argv[3], 0))
else:
    print("listening", flush=True)
    while True:
        message, sender = channel.recvfrom(1500)
        print(message[2], sender[0], flush=True)
