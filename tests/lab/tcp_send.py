# SPDX-License-Identifier: Apache-2.0
"""tcp_send.py ADDRESS PORT FILE: sends the file and waits until the far end has it."""
import socket
import sys

with socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=20) as connection:
    connection.settimeout(60)
    with open(sys.argv[3], "rb") as file:
        connection.sendfile(file)
    connection.shutdown(socket.SHUT_WR)
    sys.exit(0 if connection.recv(1) == b"k" else 1)
