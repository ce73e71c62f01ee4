#!/bin/sh
# Installs the npm packages that package-lock.json names, unless exactly those are already installed.
set -eu
cd "$(dirname "$0")/.."
node scripts/is-installed.mjs || npm ci
