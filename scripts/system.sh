# What the tests need of the system: Chromium, and a PostgreSQL server beside the embedded one. Debian's packages are
# installed where that is possible; otherwise one line says what to install.
set -eu
. scripts/common.sh

missing=
[ -x /usr/bin/chromium ] || [ -x /usr/bin/chromium-browser ] || missing="chromium"
ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || missing="$missing postgresql"
[ -n "$missing" ] || exit 0

if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    fail "The tests need packages of the system; as root: apt-get install" $missing
fi
if [ ! -e /etc/postgresql-common/createcluster.conf ]; then
    mkdir -p /etc/postgresql-common
    echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.conf
fi
say "Installing" $missing
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -qq --yes --no-install-recommends -o Dpkg::Options::=--force-confold $missing >/dev/null
