#!/bin/sh
# Install Docker's plug-ins compose and buildx: this system's own packages, else (Debian 12) those of
# Debian's next release, unpacked beside the packages of the system, which all stay as they are.
set -eu

candidate() {
    LC_ALL=C apt-cache policy "$1" | grep -q '^  Candidate: [0-9]'
}

if candidate docker-buildx; then
    compose=docker-compose
    if candidate docker-compose-v2; then compose=docker-compose-v2; fi # Ubuntu's name
    set -- "$compose" docker-buildx
    if ! command -v docker >/dev/null && candidate docker-cli; then set -- "$@" docker-cli; fi
    exec env DEBIAN_FRONTEND=noninteractive apt-get -q -y install --no-install-recommends "$@"
fi

mirror=$(apt-get indextargets --format "\$(ORIGIN) \$(CODENAME) \$(SITE)" 'Created-By: Packages' |
    awk '$1 == "Debian" && $2 !~ /-/ { print $3; exit }')
if [ -z "$mirror" ]; then
    echo "apt knows no mirror of Debian to take docker-compose and docker-buildx from" >&2
    exit 1
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
mkdir -p "$work/lists/partial" "$work/none"
keys=/usr/share/keyrings/debian-archive-keyring.gpg
echo "deb [signed-by=$keys] $mirror trixie main" >"$work/sources.list"
set -- -q -o "Dir::Etc::sourcelist=$work/sources.list" -o "Dir::Etc::sourceparts=$work/none" \
    -o "Dir::Etc::preferencesparts=$work/none" -o "Dir::State::lists=$work/lists" \
    -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= -o APT::Sandbox::User=root
cd "$work"
apt-get "$@" update
apt-get "$@" download docker-compose/trixie docker-buildx/trixie
folder=/usr/local/lib/docker/cli-plugins
mkdir -p "$folder"
for package in *.deb; do
    dpkg-deb -x "$package" unpacked
done
install -m 755 unpacked/usr/libexec/docker/cli-plugins/* "$folder"
