# SPDX-License-Identifier: Apache-2.0
"""bench/RESULTS.md: what programs write there stands between two marks; what stands around them was written by people."""

import pathlib
import sys

PAGE = pathlib.Path(__file__).resolve().parent / "RESULTS.md"


def put(text, writer, heading, new):
    """The page with this part between its marks; under its heading at the end, if there are none yet."""
    begin, end = (f"<!-- {word} of what bench/{writer} writes: {heading} -->" for word in ("begin", "end"))
    part = f"{begin}\n\n{new.strip()}\n\n{end}"
    if begin not in text:
        return f"{text.rstrip()}\n\n# {heading}\n\n{part}\n"
    before, rest = text.split(begin, 1)
    if end not in rest:
        sys.exit(f"bench/RESULTS.md has lost the line '{end}': put it back behind what was written by a program")
    return before + part + rest.split(end, 1)[1]
