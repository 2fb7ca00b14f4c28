# What the other scripts share: how they speak, and caches for accounts without a home.

say() {
    printf '%s\n' "$*"
}

fail() {
    printf '%s\n' "$*" >&2
    exit 1
}

if [ ! -w "${HOME:-/nonexistent}" ]; then
    export PIP_CACHE_DIR="$PWD/.venv/cache/pip" npm_config_cache="$PWD/.venv/cache/npm"
fi
