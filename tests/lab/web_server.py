# SPDX-License-Identifier: Apache-2.0
"""web_server.py PORT FOLDER: serves the files there to GET and POST, and notes what was asked for."""
import http.server
import json
import pathlib
import sys

FOLDER = pathlib.Path(sys.argv[2])


class Handler(http.server.BaseHTTPRequestHandler):
    def answer(self):
        name = self.path.strip("/")
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        with (FOLDER / "requests").open("a") as log:
            log.write(json.dumps(f"{self.command} {name}") + "\n")
        path = FOLDER / name
        found = "/" not in name and path.is_file()
        body = path.read_bytes() if found else b""
        self.send_response(200 if found else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = answer

    def log_message(self, *words):
        pass


server = http.server.ThreadingHTTPServer(("", int(sys.argv[1])), Handler)
(FOLDER / "ready").write_text("")
server.serve_forever()
