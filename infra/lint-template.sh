#!/bin/sh
# Lints template.yaml, its SAM translation and the state machine's definition.
# Each check finds errors that the others miss. `make aws-tools` installs the
# tools into .aws-tools; nothing calls AWS.
set -eu
cd "$(dirname "$0")/.."

python=.aws-tools/venv/bin/python
cfn_lint=.aws-tools/venv/bin/cfn-lint
asl_validator=.aws-tools/node_modules/.bin/asl-validator
for tool in $python $cfn_lint $asl_validator; do
    [ -x "$tool" ] && continue
    echo "NOT LINTED: $tool is missing; install Python and Node.js, then run 'make aws-tools'" >&2
    [ -z "${CI:-}" ] && exit 0 || exit 1
done

out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
failed=0

# check NAME COMMAND... runs the command and prints its output if it fails.
check() {
    echo "==> $1"
    shift
    "$@" >"$out/log" 2>&1 || { cat "$out/log"; failed=1; }
}

translate() { $python test/aws/tools/sam_translate.py template.yaml >"$out/translated.json"; }

check "cfn-lint template.yaml" $cfn_lint template.yaml
check "SAM translation of template.yaml" translate
[ ! -s "$out/translated.json" ] || check "cfn-lint of the translation" $cfn_lint "$out/translated.json"
for definition in statemachine/*.asl.json; do
    check "asl-validator $definition" $asl_validator --json-path "$definition"
    check "grammar of $definition" $python infra/lint_asl.py "$definition"
done
exit $failed
