#!/bin/sh
# Installs what the receivers need, next to each, at the versions and hashes of their
# lock files. It keeps what is up to date, so a second run does nothing.
#
# A missing toolchain is reported, and the tests that need it are skipped; if CI is
# set, it is an error.
set -eu

cd "$(dirname "$0")"
name=receivers
. ../../test/tools/lib.sh

install_python() {
    find_python "examples/receivers/python" || return 0
    sum=$({ cat python/requirements.txt; "$python" --version; } | cksum)
    if current python/.venv/stamp "$sum"; then return; fi
    say "python/.venv: standardwebhooks, FastAPI (pip)"
    make_venv python/.venv python/requirements.txt
    echo "$sum" >python/.venv/stamp
}

install_node() {
    if ! command -v node >/dev/null 2>&1 || ! command -v npm >/dev/null 2>&1; then
        lack "Node.js 18 or later with npm: for examples/receivers/node"
        return
    fi
    sum=$(cat node/package.json node/package-lock.json | cksum)
    if current node/node_modules/stamp "$sum"; then return; fi
    say "node/node_modules: standardwebhooks (npm ci)"
    npm ci --prefix node --ignore-scripts --no-audit --no-fund --loglevel=error
    echo "$sum" >node/node_modules/stamp
}

install_python
install_node
finish
