#!/bin/sh
# Installs what makes clients of the API from api/openapi.yaml, and what tries the API out by it,
# into .contract-tools of the repository, at the versions and hashes of the lock files next to this
# script and of the module in ../testdata/go. Node.js is a wheel among them. It keeps what is up to
# date, so a second run does nothing.
#
# A missing toolchain is reported, and the tests that need it are skipped; if CI
# is set, it is an error.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
name=contract-tools
out=$root/.contract-tools
. "$root/test/tools/lib.sh"

install_node() {
    [ -x "$out/venv/bin/npm" ] || return 0 # a missing Python is reported above
    PATH=$out/venv/bin:$PATH
    install_npm "openapi-typescript, TypeScript"
}

install_go() {
    sum=$({ cat "$here/../testdata/go/go.mod" "$here/../testdata/go/go.sum"; go version; } | cksum)
    if current "$out/go.stamp" "$sum"; then return; fi
    say "go: oapi-codegen (go build, a minute at first)"
    began=$(date +%s)
    rm -f "$out/go.stamp"
    mkdir -p "$out/go"
    (cd "$here/../testdata/go" && CGO_ENABLED=0 GOFLAGS= go build -p 2 -o "$out/go/oapi-codegen" github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen)
    done_with go "$sum" "$began"
}

mkdir -p "$out"
install_venv "openapi-python-client, schemathesis, Node.js"
install_node
install_go
finish
