#!/bin/sh
# Find Chromium or Chrome for the browser tests and print where it is, or install it where that
# needs no questions: as root on a system with apt. Exits 0 only when a browser is there.
set -eu

find_browser() {
    for name in chromium chromium-browser google-chrome google-chrome-stable; do
        command -v "$name" && return 0
    done
    return 1
}

find_browser && exit 0

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "Installing Chromium for the browser tests ..." >&2
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq >&2
    apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core >&2
    find_browser && exit 0
fi

cat >&2 <<'END'
The browser tests need Chromium or Chrome, and none of chromium, chromium-browser, google-chrome
and google-chrome-stable is on the PATH. Install one, then run `make test` again:
  Debian:       sudo apt-get install chromium
  Fedora:       sudo dnf install chromium
  Ubuntu, Mac:  Google Chrome from its maker's site, with a command named google-chrome on the PATH
END
exit 1
