#!/bin/sh
# Installs what the tests of the console need into .console-tools of the repository, at the versions
# and hashes of the lock file next to this script: the compiler that checks its types, Playwright
# without a browser of its own, axe-core. Node.js is the system's, or the wheel of .contract-tools.
# Chromium is the distribution's. It keeps what is up to date, so a second run does nothing.
#
# What is missing is reported, and the tests that need it are skipped. If CI is set, it is an error,
# except that root gets Chromium installed by apt-get.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
name=console-tools
out=$root/.console-tools
. "$root/test/tools/lib.sh"

# find_node puts a Node.js that has npm and a test runner with options first in PATH.
find_node() {
    for bin in "$(dirname "$(command -v node || echo none/node)")" "$root/.contract-tools/venv/bin"; do
        if [ -x "$bin/npm" ] && "$bin/node" -e 'process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)' 2>/dev/null; then
            PATH=$bin:$PATH
            return
        fi
    done
    lack "Node.js 20 or later with npm, or 'make contract-tools' before, which installs it: for the types and the browser tests"
    return 1
}

install_node() {
    find_node || return 0
    ln -sf "$(command -v node)" "$out/node"
    install_npm "Playwright, axe-core, TypeScript, openapi-typescript"
}

# The fonts are those of the screenshots.
install_chromium() {
    if command -v chromium >/dev/null 2>&1; then return; fi
    if [ -z "${CI:-}" ] || [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
        lack "Chromium, as the command chromium (the package of that name of Debian): for the browser tests"
        return
    fi
    say "chromium (apt-get, about a minute)"
    export DEBIAN_FRONTEND=noninteractive
    if ! apt-get update -qq || ! apt-get install -qq -y --no-install-recommends chromium fonts-dejavu-core >/dev/null; then
        lack "Chromium: apt-get could not install it"
    fi
}

mkdir -p "$out"
install_node
install_chromium
finish
