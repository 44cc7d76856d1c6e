# SPDX-License-Identifier: Apache-2.0
"""xfrm_attributes.py: all attributes of the kernel's SAs as JSON, also those that iproute2 does not know:
{SPI: {number of the attribute: octets in hex}}."""
import json
import socket
import struct

NETLINK_XFRM, GETSA, REQUEST_DUMP, DONE = 6, 18, 0x301, 3
INFO, SPI_AT = 224, 56 + 16  # struct xfrm_usersa_info: its size, and where the SPI is behind selector and destination

channel = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_XFRM)
channel.send(struct.pack("=IHHIIB7x", 24, GETSA, REQUEST_DUMP, 1, 0, 0))
found = {}
kind = GETSA
while kind != DONE:
    data = channel.recv(1 << 16)
    while data and kind != DONE:
        length, kind = struct.unpack_from("=IH", data)
        message, data = data[16:length], data[(length + 3) & ~3:]
        attributes = message[INFO:]
        while kind != DONE and attributes:
            size, number = struct.unpack_from("=HH", attributes)
            spi = struct.unpack_from("!I", message, SPI_AT)[0]
            found.setdefault(f"{spi:08x}", {})[number] = attributes[4:size].hex()
            attributes = attributes[(size + 3) & ~3:]
print(json.dumps(found))
