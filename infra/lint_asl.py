"""Check definitions of state machines with the grammar of moto's interpreter.

usage: lint_asl.py statemachine/*.asl.json

It finds misspelt fields and errors, which asl-validator lets pass; that one
finds what is wrong with the graph.
"""

import pathlib
import sys

from moto.stepfunctions.parser.asl.parse.asl_parser import AmazonStateLanguageParser


def main(paths):
    """Parse every file; tell of each that does not parse."""
    failed = False
    for path in paths:
        try:
            AmazonStateLanguageParser.parse(pathlib.Path(path).read_text())
        except Exception as error:  # the parser has several, of no common kind
            failed = True
            print(f"{path}: {error}", file=sys.stderr)
    return failed


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1:]))
