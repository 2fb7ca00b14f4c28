# Build the front end. Where there is no node >= 20 with npm, they come from PyPI into .venv.
set -eu
umask 022
. scripts/common.sh
oldest=20.0
. scripts/node.sh

cd agent_analytics/frontend
say "Building the front end"
install_packages
npm run --silent build
