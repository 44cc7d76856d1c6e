# SPDX-License-Identifier: Apache-2.0
"""tcp_receive.py PORT FILE: takes one connection, writes what comes to FILE, answers 'k'."""
import socket
import sys

listener = socket.create_server(("::", int(sys.argv[1])), family=socket.AF_INET6,
                                dualstack_ipv6=True)
print("listening", flush=True)
connection, _ = listener.accept()
with open(sys.argv[2], "wb") as file:
    while data := connection.recv(1 << 16):
        file.write(data)
connection.sendall(b"k")
connection.close()
