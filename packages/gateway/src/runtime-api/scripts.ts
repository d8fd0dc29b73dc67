/**
 * What is executed in sandboxes: scripts for `/bin/sh` of any image, with no more tools than busybox has. What a request
 * names reaches them as arguments, never as a part of their text.
 *
 * Each says first, on a line of its own, how it went: `ok …` or `no CODE`.
 */

/**
 * The directory that paths are relative to, as `$B` and without a slash at its end as `$P`, and the working directory from
 * here on: `SANDBOX_BASE_DIR`, else the one that is usual ($1), else the container's working directory. That is often `/`,
 * where a user who may not write there has no use for it: then home, else /tmp.
 */
const BASE = `
say() { printf '%s\\n' "$*"; exit 0; }
B=
for d in "\${SANDBOX_BASE_DIR:-}" "$1"; do
  if [ -n "$d" ] && [ -d "$d" ]; then B=$d; break; fi
done
if [ -z "$B" ]; then
  if [ "$PWD" != / ] || [ -w / ]; then B=$PWD
  elif [ -n "\${HOME:-}" ] && [ -d "$HOME" ] && [ -w "$HOME" ]; then B=$HOME
  else B=/tmp; fi
fi
cd -P -- "$B" 2>/dev/null || say no base
B=$PWD; P=$B; [ "$B" != / ] || P=
`

/** `resolve PATH` sets `$T`: what the path below the base really is, links followed; it need not be there. */
const RESOLVE = `
resolve() {
  a=$P; [ -z "$1" ] || a=$P/$1
  s=
  while [ -n "$a" ] && [ ! -e "$a" ] && [ ! -L "$a" ]; do s=/\${a##*/}$s; a=\${a%/*}; done
  [ -n "$a" ] || a=/
  r=$(readlink -f "$a" 2>/dev/null && echo .) || return 1
  r=\${r%??}
  case "$r/" in "$P"/*) ;; *) return 1 ;; esac
  [ "$r" != / ] || [ -z "$s" ] || r=
  T=$r$s
}
`

const FILES = BASE + RESOLVE

/**
 * `$2` the path, `$3` `head` where only what it is is asked for. A file's content follows, or `$5` bytes of it from the
 * `$4`th on; a directory's entries.
 */
export const READ = `${FILES}
resolve "$2" || say no escape
[ -e "$T" ] || say no missing
if [ -d "$T" ]; then
  cd -P -- "$T" 2>/dev/null || say no denied
  printf 'ok directory\\n'
  [ "$3" != head ] || exit 0
  flush() {
    [ $# -gt 0 ] || return 0
    printf '%s\\n' $#
    stat -L -c '%f %s %Y' -- "$@" 2>/dev/null
    printf '%s\\0' "$@"
  }
  walk() {
    for f in * .[!.]* ..?*; do
      [ -e "$f" ] || continue
      if [ -L "$f" ]; then ( resolve "\${T#"$P"}/$f" ) || continue; fi
      set -- "$@" "$f"
      if [ $# -ge 500 ]; then flush "$@"; set --; fi
    done
    flush "$@"
  }
  walk
  exit 0
fi
[ -f "$T" ] || say no special
[ -r "$T" ] || say no denied
printf 'ok file %s\\n' "$(stat -L -c '%s %Y' -- "$T" 2>/dev/null)"
[ "$3" != head ] || exit 0
[ -n "\${4:-}" ] || exec cat < "$T"
tail -c "+$4" < "$T" | head -c "$5"
`

/** `$2` the path. */
export const EXISTS = `${FILES}
resolve "$2" || say no escape
if [ -e "$T" ]; then say ok yes; else say ok no; fi
`

/**
 * `$2` the path, `$3` the mode or nothing for that of what is there, `$4` a name for what is not whole yet. The content is
 * the standard input's. Nobody ever sees a part of it under its name.
 */
export const WRITE = `${FILES}
resolve "$2" || say no escape
[ ! -d "$T" ] || say no directory
D=\${T%/*}; [ -n "$D" ] || D=/
mkdir -p -- "$D" || say no failed
N=\${D%/}/$4
trap 'rm -f -- "$N"' EXIT
cat > "$N" || say no failed
M=$3
if [ -z "$M" ]; then M=$(stat -c '%a' -- "$T" 2>/dev/null) || M=644; fi
chmod "$M" "$N" || say no failed
mv -f -- "$N" "$T" || say no failed
say ok
`

/** Takes away what WRITE left when it was killed: `$2` the path, `$3` the name. */
export const CLEAN = `${FILES}
resolve "$2" && rm -f -- "\${T%/*}/$3"
say ok
`

/** `$2` the path, `$3` `recursive` or nothing. A link is removed itself, wherever it leads. */
export const DELETE = `${FILES}
if [ -z "$2" ]; then
  [ "$3" = recursive ] || say no root
  for f in * .[!.]* ..?*; do
    if [ -e "$f" ] || [ -L "$f" ]; then rm -rf -- "$f" || say no failed; fi
  done
  say ok
fi
case "$2" in */*) resolve "\${2%/*}" || say no escape; E=\${T%/}/\${2##*/} ;; *) E=$P/$2 ;; esac
if [ ! -e "$E" ] && [ ! -L "$E" ]; then say no missing; fi
if [ "$3" = recursive ]; then rm -rf -- "$E" || say no failed
elif [ -d "$E" ] && [ ! -L "$E" ]; then
  for f in "$E"/* "$E"/.[!.]* "$E"/..?*; do
    if [ -e "$f" ] || [ -L "$f" ]; then say no notempty; fi
  done
  rmdir -- "$E" || say no failed
else rm -f -- "$E" || say no failed; fi
say ok
`

/**
 * `$2` the directory to work in below the base, `$3` how many bytes of the standard input say more: the words of the
 * command and its environment, which are no reading for whoever logs the requests of an API server; `$4` what `stty` is to
 * be told, if anything. What follows is the command, where it was not among those. Says its process ID, which is that of
 * its group; before that nothing else may be written to it.
 */
export const RUN = `${FILES}
if [ -n "$2" ]; then
  resolve "$2" || say no escape
  cd -P -- "$T" 2>/dev/null || say no workdir
fi
[ -z "$4" ] || stty $4 2>/dev/null || :
if [ "$3" = 0 ]; then shift 4
else eval "$(head -c "$3")"; fi
command -v -- "$1" >/dev/null 2>&1 || say no command
printf 'ok %s\\n' $$
exec "$@"
`

/** `$1` the name of the signal, `$2` the process ID. */
export const SIGNAL = `kill -s "$1" -- "-$2" 2>/dev/null || kill -s "$1" "$2"`

/** As one word of a shell. */
export function quoted(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`
}
