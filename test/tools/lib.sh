# What the installers of pinned tools for the tests share; they source it. They set name, the make
# target. install_npm and install_venv also need here, the folder with the lock files, and out,
# where to install.

missing=

say() { echo "==> $name: $*"; }

lack() {
    missing="$missing
  - $1"
}

# current STAMP SUM: was it installed from inputs with this checksum?
current() { [ "$(cat "$1" 2>/dev/null)" = "$2" ]; }

# done_with PART SUM SECONDS
done_with() {
    echo "$2" >"$out/$1.stamp"
    say "$1: done in $(($(date +%s) - $3)) s, $(du -sh "$out/$1" | cut -f1) in ${out##*/}/$1"
}

# install_npm WHAT: installs what package-lock.json names into node_modules.
install_npm() {
    sum=$(cat "$here/package.json" "$here/package-lock.json" | cksum)
    if current "$out/node_modules.stamp" "$sum"; then return; fi
    say "node_modules: $1 (npm ci)"
    began=$(date +%s)
    rm -f "$out/node_modules.stamp"
    cp "$here/package.json" "$here/package-lock.json" "$out/"
    npm ci --prefix "$out" --ignore-scripts --no-audit --no-fund --loglevel=error
    done_with node_modules "$sum" "$began"
}

# find_python WHAT sets python to one that can install what is wanted. It fails if there is none.
find_python() {
    for python in python3 python3.14 python3.13 python3.12 python3.11; do
        if "$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
            return
        fi
    done
    lack "Python 3.11 or later with venv and pip: for $1"
    return 1
}

# make_venv FOLDER REQUIREMENTS makes a virtual environment, by find_python's.
make_venv() {
    rm -rf "$1"
    "$python" -m venv "$1"
    "$1/bin/python" -m pip install --quiet --disable-pip-version-check \
        --require-hashes --only-binary=:all: --requirement "$2"
}

# install_venv WHAT: installs what requirements.txt names into venv.
install_venv() {
    find_python "$1" || return 0
    sum=$({ cat "$here/requirements.txt"; "$python" --version; } | cksum)
    if current "$out/venv.stamp" "$sum"; then return; fi
    say "venv: $1 (pip, about half a minute)"
    began=$(date +%s)
    rm -f "$out/venv.stamp"
    make_venv "$out/venv" "$here/requirements.txt"
    done_with venv "$sum" "$began"
}

# finish reports the toolchains that are missing. The tests that need them are skipped; if CI is
# set, it is an error.
finish() {
    if [ -z "$missing" ]; then return; fi
    echo "!!! $name: missing on this machine; the tests that need them are skipped:$missing" >&2
    if [ -n "${CI:-}" ]; then exit 1; fi
}
