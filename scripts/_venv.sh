# Sourced by the scripts beside it: makes .venv and installs what the caller needs into it.
# `make_venv base` or `make_venv dev`; does nothing where an earlier run did the same for the same setup.py.
# PYTHON names the interpreter to use, and no other is: .venv is made anew where it was made with another version.

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
cd "$root"
venv_python="$root/.venv/bin/python"

_is_new_enough() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

# The interpreter that PYTHON names, or the first that will do.
_find_python() {
    local candidate
    if [ -n "${PYTHON:-}" ]; then
        if _is_new_enough "$PYTHON"; then
            command -v "$PYTHON"
            return
        fi
        echo "PYTHON=$PYTHON: $("$PYTHON" --version 2>/dev/null || echo "it doesn't run")." >&2
        echo "Name an interpreter of Python 3.11 or later, or unset PYTHON." >&2
        return 1
    fi
    for candidate in python3 python3.13 python3.12 python3.11 python; do
        if _is_new_enough "$candidate"; then
            command -v "$candidate"
            return
        fi
    done
    echo "mubss needs Python 3.11 or later; found $(python3 --version 2>&1 || echo none)." >&2
    echo "Install one (Debian, Ubuntu: apt install python3 python3-venv), or name it: PYTHON=/path/to/python3.11 $0" >&2
    return 1
}

# _create_venv INTERPRETER
_create_venv() {
    local python="$1"
    if ! "$python" -c 'import venv, ensurepip' >/dev/null 2>&1; then
        echo "$python cannot make virtual environments: install its venv module." >&2
        echo "Debian, Ubuntu: apt install python3-venv" >&2
        exit 1
    fi
    echo "making .venv with $("$python" --version)" >&2
    "$python" -m venv --clear .venv
}

_version() {
    "$1" -c 'import sys; print(*sys.version_info[:3], sep=".")'
}

make_venv() {
    local kind="$1" extras="" stamp python=""
    if [ -n "${MUBSS_COMPILED:-}" ]; then return; fi # scripts/compiled made it, and lends it to a copy of the checkout
    stamp="$root $(cksum <setup.py)"
    if [ -n "${PYTHON:-}" ] || ! _is_new_enough "$venv_python"; then
        python="$(_find_python)" || exit 1
    fi
    if _is_new_enough "$venv_python" && { [ -z "$python" ] || [ "$(_version "$python")" = "$(_version "$venv_python")" ]; }; then
        if [ "$(cat .venv/.installed-dev 2>/dev/null)" = "$stamp" ]; then return; fi
        if [ "$(cat ".venv/.installed-$kind" 2>/dev/null)" = "$stamp" ]; then return; fi
    else
        _create_venv "$python"
    fi
    if [ "$kind" = dev ]; then extras="[dev]"; fi
    echo "installing mubss$extras into .venv" >&2
    "$venv_python" -m pip install --quiet --disable-pip-version-check --editable ".$extras" >&2
    printf '%s\n' "$stamp" >".venv/.installed-$kind"
}

# run_named KIND NAME [arguments]: scripts/KIND_NAME.py; without a name, or with a wrong one, what there is.
run_named() {
    local kind="$1" name="${2:-}" file
    if [ -f "scripts/${kind}_$name.py" ]; then
        make_venv base
        exec "$venv_python" "scripts/${kind}_$name.py" "${@:3}"
    fi
    if [ -n "$name" ]; then echo "no $kind \"$name\"" >&2; fi
    echo "scripts/$kind NAME [arguments], where NAME is one of:"
    for file in scripts/"${kind}"_*.py; do
        [ -e "$file" ] || continue
        name="${file#scripts/"${kind}"_}"
        printf '  %-8s %s\n' "${name%.py}" "$(sed -n '/^"""/{s/^"""//;s/"""$//;p;q;}' "$file")"
    done
    if [ $# -gt 1 ]; then exit 2; fi
}
