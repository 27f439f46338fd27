#!/bin/sh
# Lints template.yaml, what SAM makes of it, and the state machine's definition.
# Each check finds what the others do not. The tools are those that
# `make aws-tools` puts into .aws-tools; nothing is asked of AWS.
set -eu
cd "$(dirname "$0")/.."

python=.aws-tools/venv/bin/python
cfn_lint=.aws-tools/venv/bin/cfn-lint
asl_validator=.aws-tools/node_modules/.bin/asl-validator
for tool in $python $cfn_lint $asl_validator; do
    [ -x "$tool" ] && continue
    echo "NOT LINTED: $tool is missing; 'make aws-tools' installs it, given Python and Node.js" >&2
    [ -z "${CI:-}" ] && exit 0 || exit 1
done

out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
failed=0

# check NAME COMMAND...: its output is shown if it fails.
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
