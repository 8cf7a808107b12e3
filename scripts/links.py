"""Checks that every relative link of the Markdown pages leads to a file. Exit code 1 when one does not."""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent


def main() -> int:
    pages = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
    links = [(page, link) for page in pages for link in re.findall(r"\]\(([^)\s:#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))]
    broken = [f"{page.relative_to(ROOT)}: {link}" for page, link in links if not (page.parent / link).exists()]
    if broken:
        print("Links that lead nowhere:", *broken, sep="\n  ", file=sys.stderr)
        return 1
    print(f"{len(links)} links in {len(pages)} pages.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
