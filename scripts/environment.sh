# Make .venv and install the project into it, with these extras: environment.sh [EXTRA]
set -eu
umask 022
. scripts/common.sh

if ! .venv/bin/python -c '' 2>/dev/null; then
    python=$(sh scripts/python.sh)
    rm -rf .venv
    say "Making .venv with $python"
    "$python" -m venv .venv
fi
say "Installing the Python packages into .venv: a few minutes, the first time only"
.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-input --editable ".${1:+[$1]}"
