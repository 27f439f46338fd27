#!/bin/sh
# Installs what the receivers need, next to each, at the versions and hashes of their
# lock files. It keeps what is up to date, so a second run does nothing.
#
# A missing toolchain is reported, and the tests that need it are skipped; if CI is
# set, it is an error.
set -eu

cd "$(dirname "$0")"
missing=

say() { echo "==> receivers: $*"; }

lack() {
    missing="$missing
  - $1"
}

# current STAMP SUM: was it installed from inputs with this checksum?
current() { [ "$(cat "$1" 2>/dev/null)" = "$2" ]; }

install_python() {
    python=
    for name in python3 python3.14 python3.13 python3.12 python3.11; do
        if "$name" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
            python=$name
            break
        fi
    done
    if [ -z "$python" ]; then
        lack "Python 3.11 or later with venv and pip: for examples/receivers/python"
        return
    fi
    sum=$({ cat python/requirements.txt; "$python" --version; } | cksum)
    if current python/.venv/stamp "$sum"; then return; fi
    say "python/.venv: standardwebhooks, FastAPI (pip)"
    rm -rf python/.venv
    "$python" -m venv python/.venv
    python/.venv/bin/python -m pip install --quiet --disable-pip-version-check \
        --require-hashes --only-binary=:all: --requirement python/requirements.txt
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

if [ -n "$missing" ]; then
    echo "!!! receivers: missing on this machine; the tests that need them are skipped:$missing" >&2
    if [ -n "${CI:-}" ]; then exit 1; fi
fi
