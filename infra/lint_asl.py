"""Check state machine definitions against the grammar of moto's interpreter.

usage: lint_asl.py statemachine/*.asl.json

This finds misspelt fields and error names, which asl-validator accepts;
asl-validator checks the graph.
"""

import pathlib
import sys

from moto.stepfunctions.parser.asl.parse.asl_parser import AmazonStateLanguageParser


def main(paths):
    """Parse every file; report each that does not parse."""
    failed = False
    for path in paths:
        try:
            AmazonStateLanguageParser.parse(pathlib.Path(path).read_text())
        except Exception as error:  # the parser's errors share no base class
            failed = True
            print(f"{path}: {error}", file=sys.stderr)
    return failed


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1:]))
