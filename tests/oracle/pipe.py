# SPDX-License-Identifier: Apache-2.0
"""A program of the build that answers one JSON object a line."""
import json
import os
import pathlib
import subprocess


class Pipe:
    def __init__(self, program):
        path = pathlib.Path(os.environ["CYGNET_BIN"]) / program
        self.process = subprocess.Popen([path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, **request):
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, f"the oracle program ended with {self.process.poll()}"
        return json.loads(line)

    def must(self, **request):
        """A request that has to succeed."""
        answer = self.ask(**request)
        assert answer.get("ok"), answer
        return answer

    def close(self):
        self.process.stdin.close()
        assert self.process.wait(timeout=10) == 0
