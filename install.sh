#!/usr/bin/env bash
# Install MSTGT for this machine.
#
#   bash install.sh           install the newest versions that pyproject.toml allows
#   bash install.sh locked    install the versions of requirements.lock, checked by hash (Python 3.11 or newer)
#   bash install.sh test      install, then lint and run the whole test suite
#   bash install.sh demo      install, then train and test a small tracker and show what came out
#
# Needs Python 3.10 or newer. Installs into the activated virtual or conda environment; where none is activated,
# into .venv in the project. Running it again costs a second. Logs: install.log in the environment's folder.
set -euo pipefail

project=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
log=""

say() { printf '%s\n' "$*"; }

fail() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

# step NAME COMMAND...: run a command into the log; stop with one line where it fails.
step() {
    local name=$1
    shift
    if ! "$@" >>"$log" 2>&1; then
        tail -n 5 "$log" >&2
        fail "$name failed; the whole output is in $log"
    fi
}

# is_new_enough PYTHON [MINOR]: is it Python 3.10 (3.MINOR) or newer?
is_new_enough() { "$1" -c "import sys; sys.exit(sys.version_info < (3, ${2:-10}))" 2>/dev/null; }

is_root_on_debian() { [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; }

# apt_install NAME PACKAGE...: install Debian packages (only called as root).
apt_install() {
    local name=$1
    shift
    say "installing $name"
    step "apt-get update" env DEBIAN_FRONTEND=noninteractive apt-get -q update
    step "installing $name" env DEBIAN_FRONTEND=noninteractive apt-get -q install -y --no-install-recommends "$@"
}

find_python() {
    local candidate
    for candidate in python3 python3.14 python3.13 python3.12 python3.11 python3.10 python; do
        if command -v "$candidate" >/dev/null && is_new_enough "$candidate"; then
            command -v "$candidate"
            return
        fi
    done
    return 1
}

# The folder of the activated environment whose python is in use; nothing where none is activated.
activated_environment() {
    local candidate
    for candidate in "${VIRTUAL_ENV:-}" "${CONDA_PREFIX:-}"; do
        if [ -n "$candidate" ] && [ "$(command -v python || true)" = "$candidate/bin/python" ]; then
            printf '%s\n' "$candidate"
            return
        fi
    done
    printf '%s\n' "${VIRTUAL_ENV:-${CONDA_PREFIX:-}}"
}

# Sets environment, python, log and stamp; makes .venv where no environment is activated.
choose_environment() {
    environment=$(activated_environment)
    if [ -n "$environment" ]; then
        python=$environment/bin/python
        [ -x "$python" ] || fail "the activated environment $environment has no bin/python; deactivate it or mend it"
        is_new_enough "$python" || fail "the Python of the activated environment $environment is older than 3.10"
    else
        environment=$project/.venv
        python=$environment/bin/python
        if ! is_new_enough "$python"; then
            make_venv
        fi
    fi
    [ -w "$environment" ] || fail "the environment $environment cannot be written; activate one of your own"
    log=$environment/install.log
    stamp=$environment/.mstgt-installed
    if ! "$python" -m pip --version >/dev/null 2>&1; then
        step "adding pip to $environment" "$python" -m ensurepip --upgrade
    fi
}

make_venv() {
    local base version
    base=$(find_python) || fail "Python 3.10 or newer is needed and none was found (Debian: sudo apt-get install python3)"
    log=$(mktemp)
    if ! "$base" -c 'import ensurepip, venv' 2>/dev/null; then
        version=$("$base" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
        is_root_on_debian || fail "$base cannot make virtual environments; run: sudo apt-get install $version"
        apt_install "$version" "$version"
    fi
    say "making $environment with $base"
    step "making the virtual environment" "$base" -m venv --clear "$environment"
    mv "$log" "$environment/install.log"
}

# What the installation depends on: when this text is the same as last time there is nothing to do.
fingerprint() {
    "$python" - "$project" <<'PYTHON'
import hashlib, pathlib, sys
project = pathlib.Path(sys.argv[1])
print(project, sys.version.split()[0], hashlib.sha256((project / "pyproject.toml").read_bytes()).hexdigest())
PYTHON
}

pip_install() {
    step "pip install" "$python" -m pip install --quiet --disable-pip-version-check --no-input --retries 10 \
        --timeout 60 "$@"
}

install_newest() {
    local wanted
    wanted=$(fingerprint)
    if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ]; then
        return
    fi
    say "installing into $environment (torch is about 3 GB; minutes); log: $log"
    rm -f "$stamp"
    pip_install -e "$project[dev]"
    printf '%s\n' "$wanted" >"$stamp"
}

# Nothing but files whose hashes are in requirements.lock: so no build isolation, which fetches setuptools.
install_locked() {
    is_new_enough "$python" 11 || fail "requirements.lock is for Python 3.11 or newer; for 3.10 write: bash install.sh"
    say "installing the versions of requirements.lock into $environment (torch is about 3 GB; minutes); log: $log"
    rm -f "$stamp"
    pip_install --require-hashes -r "$project/requirements.lock"
    pip_install --no-deps --no-build-isolation -e "$project"
    fingerprint >"$stamp"
}

# OpenCV needs system libraries that a bare Debian lacks.
check_opencv() {
    local problem glib=libglib2.0-0
    problem=$("$python" -c 'import cv2' 2>&1) && return
    case $problem in
    *"cannot open shared object file"*) ;;
    *) fail "OpenCV does not load: $(tail -n 1 <<<"$problem")" ;;
    esac
    if command -v apt-cache >/dev/null && apt-cache show libglib2.0-0t64 >/dev/null 2>&1; then
        glib=libglib2.0-0t64
    fi
    problem=$(tail -n 1 <<<"${problem%: cannot open shared object file*}")
    is_root_on_debian || fail "OpenCV lacks ${problem##* }; run: sudo apt-get install libgl1 $glib"
    apt_install "the libraries of OpenCV" libgl1 "$glib"
    "$python" -c 'import cv2' >>"$log" 2>&1 || fail "OpenCV still does not load; see $log"
}

main() {
    local action=${1:-install}
    case $action in
    install | locked | test | demo) ;;
    help | -h | --help)
        sed -n '2,/^set/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
        return
        ;;
    *) fail "unknown action '$action'; write: bash install.sh [locked|test|demo]" ;;
    esac
    [ $# -le 1 ] || fail "one action at most; write: bash install.sh [locked|test|demo]"
    cd "$project"
    choose_environment
    case $action in
    locked) install_locked ;;
    *) install_newest ;;
    esac
    check_opencv
    case $action in
    install | locked)
        say "installed in $environment"
        [ -n "$(activated_environment)" ] || say "activate it with: source $environment/bin/activate"
        ;;
    test)
        "$python" -m ruff check . || fail "ruff found the problems above"
        "$python" -m mypy || fail "mypy found the problems above"
        "$python" -m pytest -n auto --maxprocesses 8 --dist worksteal || fail "tests failed; see above"
        ;;
    demo)
        "$python" tracking/demo.py || fail "the demo failed; see above"
        ;;
    esac
}

main "$@"
