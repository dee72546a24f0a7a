#!/usr/bin/env python3
"""Counts the hot path's instructions and compares them with the committed baseline.

Builds `benches/instructions.rs`, runs each of its operations under callgrind and prints a table: name, baseline, now,
growth. Exits with 1 if one has grown by more than 5 %, is new or is missing; with `--renew` it writes the baseline
instead. Needs valgrind.

The counts are of instructions, not of time, so caches, branches and other processes do not affect them. The compiler
and the C library do, and the baseline names both. The C library chooses its memcpy by the processor's features. Under
valgrind these are the ones that it emulates (AVX2, no AVX-512), so all processors of the last ten years choose the
same. On another architecture there is no baseline.
"""

import concurrent.futures
import json
import os
import pathlib
import platform
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
BASELINE = ROOT / "benches" / "instructions.json"
# The one function in which instructions are counted.
COUNTED = "*counted_part*"
# Growth in percent that fails; a decrease by as much is worth a new baseline.
TOLERANCE = 5
RENEW = "just instructions --renew  (or .ci/instructions.py --renew)"


def compare(baseline, now):
    """The rows of a table, findings, and notes. Both arguments map names to instructions per operation."""
    rows, findings, notes = [], [], []
    for name in sorted(baseline.keys() | now.keys()):
        before, after = baseline.get(name), now.get(name)
        if before is None or after is None:
            what = "is not in the baseline" if before is None else "is in the baseline, but is not counted any more"
            findings.append(f"{name} {what}")
            rows.append((name, before, after, ""))
            continue
        growth = 100 * (after - before) / before
        rows.append((name, before, after, f"{growth:+.1f} %"))
        # In whole numbers, so that rounding never decides: exactly 5 % is allowed.
        if 100 * after > (100 + TOLERANCE) * before:
            findings.append(f"{name} takes {growth:.1f} % more instructions than the baseline: {TOLERANCE} % is allowed")
        elif 100 * after < (100 - TOLERANCE) * before:
            notes.append(f"{name} takes {-growth:.1f} % fewer instructions: renew the baseline, so that this stays")
    return rows, findings, notes


def table(rows):
    """The rows as text."""
    rows = [("instructions an operation", "baseline", "now", "growth")] + [
        (name, *("-" if count is None else f"{count:,}" for count in counts), growth) for name, *counts, growth in rows
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return "\n".join(f"{n:<{widths[0]}}  {b:>{widths[1]}}  {a:>{widths[2]}}  {g:>{widths[3]}}" for n, b, a, g in rows)


def made_with():
    """What the counts depend on, other than the code."""
    rustc = subprocess.run(["rustc", "--version"], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout
    return {"architecture": platform.machine(), "libc": " ".join(platform.libc_ver()), "rustc": rustc.strip()}


def build():
    """Builds the benchmark. Returns its path."""
    command = ["cargo", "build", "--profile", "instructions", "-p", "stockade-instructions", "--bench", "instructions", "--locked"]
    command.append("--message-format=json-render-diagnostics")
    told = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout
    messages = [json.loads(line) for line in told.splitlines()]
    made = [m for m in messages if m.get("executable") and m["target"]["name"] == "instructions"]
    return pathlib.Path(made[-1]["executable"])


def listed(binary):
    """The operations: pairs of a name and how often it is run."""
    told = subprocess.run([binary, "--list"], stdout=subprocess.PIPE, text=True, check=True).stdout
    return [(name, int(turns)) for turns, name in (line.split(" ", 1) for line in told.splitlines())]


def count(binary, name, turns):
    """Instructions of one operation."""
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "counts"
        command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", f"--toggle-collect={COUNTED}"]
        # An empty environment but for PATH, since its size moves the stack.
        path = {"PATH": os.environ["PATH"]}
        ran = subprocess.run([*command, binary, name], env=path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if ran.returncode != 0:
            sys.exit(f"{name} did not run under valgrind:\n{ran.stderr}")
        total = re.search(r"^totals: (\d+)", out.read_text(), re.MULTILINE)
    if total is None or int(total.group(1)) < turns:
        sys.exit(f"nothing was counted of {name}: is {COUNTED} still the name of the counted function?")
    return round(int(total.group(1)) / turns)


def main():
    renew = sys.argv[1:] == ["--renew"]
    if sys.argv[1:] and not renew:
        sys.exit("usage: .ci/instructions.py [--renew]")
    here = made_with()
    if not renew:
        baseline = json.loads(BASELINE.read_text())
        there = baseline["made_with"]
        if there["architecture"] != here["architecture"]:
            print(f"NOTICE: the baseline is of {there['architecture']}, this is {here['architecture']}: nothing is compared")
            return 0
    binary = build()
    with concurrent.futures.ThreadPoolExecutor(max_workers=os.cpu_count()) as workers:
        counting = {name: workers.submit(count, binary, name, turns) for name, turns in listed(binary)}
        now = {name: counted.result() for name, counted in counting.items()}
    if renew:
        text = json.dumps({"made_with": here, "instructions": now}, indent=2, sort_keys=True)
        BASELINE.write_text(text + "\n")
        print(f"{BASELINE.relative_to(ROOT)} is renewed")
        return 0
    rows, findings, notes = compare(baseline["instructions"], now)
    print(table(rows))
    for note in notes:
        print(f"note: {note}")
    for finding in findings:
        print(f"finding: {finding}")
    if there != here:
        print(f"note: the baseline was made with {there}, this is {here}: that alone may change counts")
    if findings or notes:
        print(f"where a change is meant: {RENEW}, and say in the commit why")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
