# SPDX-License-Identifier: Apache-2.0
"""flow.py ADDRESS INTERVAL_S SIZE zeros|random: echo requests until SIGINT, then an account as one line of JSON.

SIZE: octets behind the ICMP header.

Unlike ping's, the account is exact at the end too: after SIGINT nothing more is sent, and what is
under way gets some seconds to come back. Says `first` when the first answer is in.
"""
import json
import select
import signal
import sys
import time

from echo import Echo

GRACE_S = 5.0


def main():
    address, interval_s, size, kind = sys.argv[1:]
    echo, interval_s = Echo(address, int(size), random=kind == "random"), float(interval_s)
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
