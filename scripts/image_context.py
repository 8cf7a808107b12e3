"""Checks that .dockerignore lets everything through that the image is built from: each member of the workspace, and each file outside of the members
that sources take in. The Dockerfile itself finds the crates, so a new one cannot be forgotten there."""

import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
INCLUDED = re.compile(r'include(?:_str|_bytes|_dir)?!\(\s*(?:concat!\(\s*env!\("CARGO_MANIFEST_DIR"\),\s*)?"([^"]+)"')


def let_through():
    lines = [line.strip() for line in (ROOT / ".dockerignore").read_text().splitlines()]
    if "*" not in lines:
        sys.exit(".dockerignore does not begin by leaving everything out: this check does not understand it.")
    return [ROOT / line[1:] for line in lines if line.startswith("!")]


def main():
    metadata = json.loads(subprocess.check_output(["cargo", "metadata", "--no-deps", "--offline", "--format-version", "1"], cwd=ROOT))
    members = [Path(package["manifest_path"]).parent for package in metadata["packages"]]
    wanted = {member: "a member of the workspace" for member in members} | {ROOT / ".cargo/config.toml": "how the crates are built"}
    for member in members:
        for source in (member / "src").rglob("*.rs"):
            for name in INCLUDED.findall(source.read_text()):
                base = member if name.startswith("/") else source.parent
                path = (base / name.lstrip("/")).resolve()
                if path.exists():
                    wanted.setdefault(path, f"taken in by {source.relative_to(ROOT)}")
    allowed = let_through()
    faults = [f"{path.relative_to(ROOT)}: {why}" for path, why in sorted(wanted.items()) if not any(path.is_relative_to(one) for one in allowed)]
    if faults:
        sys.exit("The image would lack what .dockerignore leaves out:\n  " + "\n  ".join(faults))
    print(f"  the image gets {len(members)} crates and {len(wanted) - len(members)} files that they take in")


main()
