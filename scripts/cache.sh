# cache.sh -- what the fetching scripts share, to be sourced: where things are kept, and how they get there.
case "$(uname -s)" in Darwin) cache=$HOME/Library/Caches/hearth ;; *) cache=${XDG_CACHE_HOME:-$HOME/.cache}/hearth ;; esac

fail() { echo "${0##*/}: $*" >&2; exit 1; }

# sha FILE: its SHA-256; without a file, standard input's.
sha() { if command -v sha256sum >/dev/null; then sha256sum "$@"; else shasum -a 256 "$@"; fi | cut -d' ' -f1; }

# download FOLDER PACKAGE [OPTION…]: the package's file, unopened.
download() {
    local folder=$1 package=$2 progress=off
    shift 2
    if [ -t 2 ]; then progress=on; fi
    python3 -m pip download --no-deps --disable-pip-version-check --progress-bar "$progress" -q -d "$folder" "$@" "$package" >&2 \
        || fail "could not download $package: is the network up?"
}

# expect FILE SUM: fails unless the file is the one meant.
expect() {
    local got
    got=$(sha "$1")
    [ "$got" = "$2" ] || fail "the SHA-256 of ${1##*/} is $got, expected $2; nothing was kept"
}
