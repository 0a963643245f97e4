#!/bin/sh
# Makes the locked environments that the Makefile runs in, and reuses them while nothing has changed.
#
#   sh tools/environments.sh uv     .venv/uv: the installer that makes the others
#   sh tools/environments.sh core   .venv/core: current TensorFlow and Keras, and the development tools
#   sh tools/environments.sh tfx    .venv/tfx: the newest TFX that this machine can run
#   sh tools/environments.sh peers  .venv/peers: SMAC3, and PyTorch for Optuna's GPSampler (benchmarks only)
#
# Where no TFX can be had, `tfx` says so and leaves no .venv/tfx; that is an error only when CI is set.

set -eu
cd "$(dirname "$0")/.."
unset PYTHONPATH PYTHONHOME
uv=.venv/uv/bin/uv
torch=2.13.0

say() { printf '%s\n' "$*" >&2; }

# find_python MINOR...: the first Python 3.MINOR that starts and has venv. A pyenv shim exists for every
# installed version but starts only the selected ones, so pyenv's own folder is searched as well.
find_python() {
    for python in python3 $(python_names "$@"); do
        version=$("$python" -c 'import sys, ssl, venv, ensurepip; print(*sys.version_info[:2])' 2>/dev/null) || continue
        for minor in "$@"; do
            [ "$version" = "3 $minor" ] || continue
            "$python" -c 'import sys; print(sys.executable)'
            return
        done
    done
    return 1
}

python_names() {
    for minor in "$@"; do
        echo "python3.$minor"
        for folder in "${PYENV_ROOT:-$HOME/.pyenv}/versions/3.$minor".*; do
            echo "$folder/bin/python"
        done
    done
}

machine_python() {
    find_python 13 12 11 10 && return
    say "error: no Python 3.10 to 3.13 with its venv module was found."
    say "Install one that is on PATH as python3 or python3.N (Debian, Ubuntu: apt install python3 python3-venv)."
    return 1
}

make_uv() {
    version=$(sed -n 's/^uv==\([0-9.]*\).*/\1/p' requirements/core.lock)
    case $("$uv" --version 2>/dev/null) in "uv $version" | "uv $version "*) return ;; esac
    python=$(machine_python)
    say "Making .venv/uv: uv $version on $python"
    rm -rf .venv/uv
    "$python" -m venv .venv/uv
    .venv/uv/bin/python -m pip install --quiet --disable-pip-version-check "uv==$version"
}

# make_environment NAME LOCK PYTHON
make_environment() {
    environment=.venv/$1
    stamp=$({ pwd; "$3" --version; cat "requirements/$2.lock" setup.cfg; ls -d -- */__init__.py; } | cksum)
    [ "$(cat "$environment/stamp" 2>/dev/null)" = "$stamp" ] && "$environment/bin/python" -c '' && return
    say "Making $environment: requirements/$2.lock on $3 (a minute or a few, once)"
    rm -rf "$environment"
    "$uv" venv --quiet --python "$3" "$environment" &&
        "$uv" pip sync --quiet --python "$environment/bin/python" "requirements/$2.lock" &&
        "$uv" pip install --quiet --python "$environment/bin/python" --no-deps --editable . &&
        echo "$stamp" >"$environment/stamp"
}

python_3_10() {
    find_python 10 && return
    say "No Python 3.10 here: uv tries to fetch one."
    UV_HTTP_RETRIES=1 "$uv" python install 3.10 >&2 && "$uv" python find 3.10
}

# TFX is published for Linux on x86-64 with glibc; its newest release wants glibc 2.39.
make_tfx() {
    glibc=$(getconf GNU_LIBC_VERSION 2>/dev/null | sed -n 's/^glibc 2\.//p')
    if [ "$(uname -sm)" != "Linux x86_64" ] || [ -z "$glibc" ]; then
        no_tfx "TFX is published for Linux on x86-64 with glibc, not for this $(uname -sm)" "use such a machine"
    elif [ "$glibc" -ge 39 ]; then
        python=$(machine_python)
        install_tfx tfx-1.21 "$python"
    elif python=$(python_3_10); then
        install_tfx tfx-1.16 "$python"
    else
        no_tfx "glibc 2.$glibc needs TFX 1.16, and that a Python 3.10" "install one, with pyenv for example"
    fi
}

# install_tfx LOCK PYTHON
install_tfx() {
    make_environment tfx "$1" "$2" || no_tfx "requirements/$1.lock could not be installed" \
        "see above; pyfarmhash is compiled (Debian, Ubuntu: apt install g++ python3-dev)"
}

# no_tfx REASON REMEDY
no_tfx() {
    rm -rf .venv/tfx
    say "**********************************************************************"
    say "NOTHING IS TESTED WITH TFX: $1."
    say "To mend it: $2."
    say "**********************************************************************"
    [ -z "${CI:-}" ] || exit 1
}

# PyTorch's index has the CPU build for every system. Where it cannot be reached, pip installs from wherever it is
# configured to look; PyPI's own build for Linux brings CUDA, which takes several GB.
install_torch() {
    python=.venv/peers/bin/python
    "$python" -c 'import torch' 2>/dev/null && return
    UV_HTTP_RETRIES=1 "$uv" pip install --quiet --python "$python" --torch-backend=cpu "torch==$torch" && return
    say "PyTorch's index cannot be reached: pip installs torch $torch."
    .venv/uv/bin/python -m pip --python "$python" install --quiet --disable-pip-version-check "torch==$torch"
}

case ${1:-} in
uv) make_uv ;;
core)
    make_uv
    python=$(machine_python)
    make_environment core core "$python"
    ;;
tfx)
    make_uv
    make_tfx
    ;;
peers)
    make_uv
    python=$(machine_python)
    make_environment peers peers "$python"
    install_torch
    ;;
*)
    say "usage: sh tools/environments.sh uv | core | tfx | peers"
    exit 2
    ;;
esac
