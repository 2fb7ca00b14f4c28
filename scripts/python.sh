# Print the interpreter to use: Python 3.11 or newer with venv; for root one that other accounts can run too, because
# PostgreSQL and the kernels run under accounts of their own. PYTHON names one that is tried before all others.
set -eu
. scripts/common.sh

FIT='
import ensurepip, os, sys, venv
assert sys.version_info >= (3, 11)
print(sys.executable)
'
OPEN='
import os, sys
from pathlib import Path
for path in map(os.path.realpath, sys.argv[1:] or [sys.executable, os.__file__]):
    assert os.stat(path).st_mode & 0o4, path
    assert all(parent.stat().st_mode & 0o1 for parent in Path(path).parents), path
'

candidates="${PYTHON:-} python3"
for directory in '' /usr/bin/ /usr/local/bin/; do
    for version in 3.14 3.13 3.12 3.11 3; do
        candidates="$candidates ${directory}python$version"
    done
done

closed=
for candidate in $candidates; do
    found=$("$candidate" -I -c "$FIT" 2>/dev/null) || continue
    if [ "$(id -u)" != 0 ] || "$found" -I -c "$OPEN" 2>/dev/null; then
        break
    fi
    closed=$found
    found=
done

if [ -n "${found:-}" ] && [ "$(id -u)" = 0 ] && ! "$found" -I -c "$OPEN" "$PWD/Makefile" 2>/dev/null; then
    fail "As root this needs a checkout that other accounts can read, and $PWD is not: clone it below /opt or /srv" \
        "(with umask 022), or run make as an ordinary user."
elif [ -n "${found:-}" ]; then
    say "$found"
elif [ -n "$closed" ]; then
    fail "As root this needs a Python that other accounts can run, and $closed is not: apt-get install python3-venv," \
        "or run make as an ordinary user."
else
    fail "This needs Python 3.11 or newer with venv: apt-get install python3-venv (or name one: make PYTHON=...)."
fi
