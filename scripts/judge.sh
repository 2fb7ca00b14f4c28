# Install the certified OpenID provider against which the tests try signing in; it needs a newer node than we do.
set -eu
umask 022
. scripts/common.sh
oldest=22.12
. scripts/node.sh

cd tests/identity/judge
say "Installing the tests' OpenID provider"
install_packages
command -v node >node_modules/.node
