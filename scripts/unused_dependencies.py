"""Names dependencies that no code mentions, in each crate and in the workspace's list. Exit code 1 when there are any.

A crate counts as used when its name stands in a Rust file of the crate as a path (`name::`), an import (`use name`), or a macro attribute.
Dependencies of the code must be mentioned under src/ or in build.rs; those of the tests anywhere in the crate.
A dependency that only switches features on is listed in the crate's Cargo.toml, with the reason in a comment:

    [package.metadata.unused]
    ignored = ["name"]
"""

import json
import pathlib
import re
import subprocess
import sys
import tomllib

ROOT = pathlib.Path(__file__).resolve().parent.parent


def metadata() -> dict:
    command = ["cargo", "metadata", "--locked", "--no-deps", "--format-version", "1"]
    return json.loads(subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout)


def rust_text(*places: pathlib.Path) -> str:
    """All Rust code under the places, without line comments."""
    files = [f for place in places for f in ([place] if place.is_file() else sorted(place.rglob("*.rs")))]
    lines = (line for f in files for line in f.read_text(encoding="utf-8").splitlines())
    return "\n".join(line for line in lines if not line.lstrip().startswith("//"))


def is_mentioned(crate: str, code: str) -> bool:
    return re.search(rf"(?<![\w:.]){re.escape(crate)}\s*(::|;|,|\}}| as )", code) is not None


def unused_of(package: dict) -> list[str]:
    folder = pathlib.Path(package["manifest_path"]).parent
    product = rust_text(folder / "src", folder / "build.rs") if (folder / "build.rs").exists() else rust_text(folder / "src")
    everything = rust_text(folder)
    ignored = ((package["metadata"] or {}).get("unused") or {}).get("ignored", [])
    return [
        dependency["name"]
        for dependency in package["dependencies"]
        if dependency["name"] not in ignored
        and not is_mentioned((dependency["rename"] or dependency["name"]).replace("-", "_"), everything if dependency["kind"] == "dev" else product)
    ]


def main() -> int:
    packages = metadata()["packages"]
    findings = [f"{package['name']}: {name}" for package in packages for name in unused_of(package)]
    named = {dependency["name"] for package in packages for dependency in package["dependencies"]}
    listed = tomllib.loads((ROOT / "Cargo.toml").read_text(encoding="utf-8"))["workspace"]["dependencies"]
    findings += [f"workspace Cargo.toml: {name}" for name, source in listed.items() if name not in named and "path" not in source]
    if findings:
        print("Dependencies that no code mentions:", *findings, sep="\n  ", file=sys.stderr)
        return 1
    print(f"{len(packages)} crates, {len(named)} dependencies, each is mentioned in code.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
