#!/usr/bin/env python3
"""Checks the dependencies against deny.toml if cargo-deny is not installed: licenses, sources, duplicate versions.

Reads `cargo metadata` of the locked tree. Exits with 1 and a line for each finding; duplicates are only reported.
Advisories need a database that only cargo-deny has: they are not checked here.
"""

import collections
import json
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
REGISTRY = "registry+"


def satisfied(expression, allowed):
    """Whether an SPDX expression can be met with licenses that are allowed. The old `MIT/Apache-2.0` means OR."""
    tokens = re.findall(r"\(|\)|[^\s()]+", expression.replace("/", " OR "))

    def alternatives():
        met = conjunction()
        while tokens and tokens[0] == "OR":
            tokens.pop(0)
            met = conjunction() or met
        return met

    def conjunction():
        met = license_or_group()
        while tokens and tokens[0] == "AND":
            tokens.pop(0)
            met = license_or_group() and met
        return met

    def license_or_group():
        token = tokens.pop(0)
        if token == "(":
            met = alternatives()
            assert tokens.pop(0) == ")", expression
            return met
        if tokens and tokens[0] == "WITH":
            token = f"{token} {tokens.pop(0)} {tokens.pop(0)}"
        return token in allowed

    met = alternatives()
    assert not tokens, expression
    return met


def main():
    allow = re.search(r"^allow = \[(.*?)\]", (ROOT / "deny.toml").read_text(), re.MULTILINE | re.DOTALL)
    allowed = set(re.findall(r'"([^"]+)"', allow.group(1)))
    command = ["cargo", "metadata", "--format-version", "1", "--locked", "--all-features"]
    told = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout
    packages = json.loads(told)["packages"]
    findings = []
    versions = collections.defaultdict(set)
    for package in packages:
        name = f"{package['name']} {package['version']}"
        versions[package["name"]].add(package["version"])
        if not package["license"] or not satisfied(package["license"], allowed):
            findings.append(f"{name}: license {package['license']!r} is not allowed")
        if package["source"] is not None and not package["source"].startswith(REGISTRY):
            findings.append(f"{name}: comes from {package['source']}")
        wild = [needed["name"] for needed in package["dependencies"] if needed["req"] == "*" and package["source"] is None]
        wild = [needed for needed in wild if not any(p["name"] == needed and p["source"] is None for p in packages)]
        findings.extend(f"{name}: {needed} may have any version" for needed in wild)
    sources = {package["source"] for package in packages} - {None}
    if len(sources) > 1:
        findings.append(f"more than one registry: {sorted(sources)}")
    for name, found in sorted(versions.items()):
        if len(found) > 1:
            print(f"note: {name} is there as {' and '.join(sorted(found))}")
    for finding in findings:
        print(f"finding: {finding}")
    print(f"{len(packages)} packages, {len(findings)} findings")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
