# SPDX-License-Identifier: Apache-2.0
"""What the demonstration writes: headings, commands, quoted output. Colour only on a terminal."""
import os
import sys
import textwrap

_COLOUR = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
WIDTH = 92


def _paint(code, text):
    return f"\033[{code}m{text}\033[0m" if _COLOUR else text


def bold(text):
    return _paint("1", text)


def green(text):
    return _paint("32", text)


def red(text):
    return _paint("31", text)


def dim(text):
    return _paint("2", text)


def heading(number, text):
    print(f"\n{bold(f'{number}. {text}')}\n{dim('─' * WIDTH)}", flush=True)


def say(text):
    """A paragraph of prose, wrapped."""
    print(textwrap.fill(" ".join(text.split()), WIDTH), flush=True)


def command(host, text):
    print(f"\n  {dim(host)} {bold('$ ' + text)}", flush=True)


def quote(text, limit=None):
    """What a command said, indented."""
    lines = text.rstrip().splitlines()
    if limit and len(lines) > limit:
        lines = lines[:limit] + [f"… {len(lines) - limit} more lines"]
    for line in lines:
        print("  " + line, flush=True)


def columns(left, right, gap=3):
    """Two lists of lines side by side."""
    width = max(len(line) for line in left)
    for i in range(max(len(left), len(right))):
        l = left[i] if i < len(left) else ""
        r = right[i] if i < len(right) else ""
        print("  " + (l.ljust(width) + " " * gap + r).rstrip(), flush=True)


def hexdump(octets, per_line=8, lines=13):
    out = []
    for at in range(0, min(len(octets), per_line * lines), per_line):
        part = octets[at:at + per_line]
        text = "".join(chr(b) if 32 <= b < 127 else "." for b in part)
        out.append(f"{at:04x}  {' '.join(f'{b:02x}' for b in part):<{per_line * 3 - 1}}  {text}")
    if len(octets) > per_line * lines:
        out.append(f"…     {len(octets)} octets in all")
    return out
