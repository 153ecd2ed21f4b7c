#!/bin/sh
# README and tutorial, followed literally: every fenced block of code runs, in order, in one folder, with fewer steps.
#   ```sh      by the shell; `make TARGET` must be a target (make quickstart runs the study)
#   ```lua     first line "-- NAME.lua": the file of that name; "-- at the prompt": typed at the prompt (blocks that
#              follow one another are one session)
P=${PERCEPT:-build/percept}
case $P in /*) ;; *) P=$PWD/$P ;; esac
top=$PWD
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
export HOME="$dir/home" XDG_CACHE_HOME="$dir/cache" XDG_DATA_HOME="$dir/home" OMP_NUM_THREADS=1
unset PERCEPT_DB
mkdir -p "$dir/home" "$dir/bin"
pass=0 fail=0
# the study's and the files' sizes, for a test
quick='--set size=16 --set worlds=Park,Dawn --set vae.attempts=1 --set vae.attempt_steps=2 --set vae.steps=6 --set vae.log_every=1 --set replay.steps=3 --set replay.log_every=1 --set search.steps=1 --set readout.steps=3 --set vae.alpha_ramp=3'
small='--set images=400 --set search.images=8 --set search.starts=2'
cat >"$dir/bin/make" <<END_MAKE
#!/bin/sh
case \$1 in
  quickstart) exec build/percept run experiments/quickstart.lua ;;
  *) grep -q "^\$1:" '$top/Makefile' || { echo "make has no target \$1"; exit 1; } ;;
esac
END_MAKE
# the program as documents call it; studies get fewer steps
cat >"$dir/bin/percept-small" <<END_PERCEPT
#!/bin/sh
case "\$1 \$2" in
  "run experiments/quickstart.lua") exec '$P' "\$@" $quick ;;
  "run own.lua" | "sweep own.lua") exec '$P' "\$@" $small --set steps=6 ;;
  "run discs.lua" | "sweep discs.lua") exec '$P' "\$@" $small --set steps=12 ;;
esac
exec '$P' "\$@"
END_PERCEPT
chmod +x "$dir/bin/make" "$dir/bin/percept-small"
PATH="$dir/bin:$PATH"

# blocks FILE FOLDER: writes the blocks as N.sh, N.prompt, and files; the order is that of N
blocks() {
  awk -v out="$2" '
    function start(kind) {
      if (kind == "prompt" && last == "prompt") name = out "/" sprintf("%03d", n) ".prompt"
      else name = out "/" sprintf("%03d", ++n) "." kind
      last = kind
    }
    /^```/ && !inside { lang = substr($0, 4); inside = 1; first = 1; name = ""; next }
    /^```$/ && inside { inside = 0; if (name != "") close(name); next }
    inside && first {
      first = 0
      if (lang == "sh") start("sh")
      else if (lang == "lua" && $0 ~ /^-- at the prompt/) { start("prompt"); next }
      else if (lang == "lua" && match($0, /^-- [a-z_]+\.lua/)) {
        start("file"); print substr($0, 4, RLENGTH - 3) > name; close(name)
      } else { print "a block of unknown kind: " lang ": " $0 > (out "/bad"); name = "" }
    }
    inside && name != "" { print >> name }
  ' "$1"
}

follow() { # document
  doc=$1
  work=$(mktemp -d "$dir/work.XXXXXX")
  mkdir "$work/blocks" "$work/here" "$work/here/build"
  ln -s "$dir/bin/percept-small" "$work/here/build/percept"
  ln -s "$top/experiments" "$work/here/experiments"
  blocks "$doc" "$work/blocks"
  if [ -f "$work/blocks/bad" ]; then fail=$((fail + 1)); echo "FAIL $doc: $(cat "$work/blocks/bad")"; fi
  for b in "$work"/blocks/*.*; do
    case $b in
      *.sh) (cd "$work/here" && sh -e "$b") >"$dir/out" 2>&1 </dev/null ;;
      *.prompt) (cd "$work/here" && "$P" <"$b") >"$dir/out" 2>&1 ;;
      *.file) sed 1d "$b" >"$work/here/$(sed -n 1p "$b")" ;;
    esac
    if [ $? -eq 0 ] && ! grep -q "^warning:" "$dir/out"; then pass=$((pass + 1)); else
      fail=$((fail + 1))
      echo "FAIL $doc, block $(basename "$b"):"
      sed 's/^/    | /' "$b" | head -n 12
      tail -n 15 "$dir/out" | sed 's/^/    /'
    fi
  done
}

follow README.md
for page in overlap.html quickstart.html first.html; do
  if [ -s "$work/here/$page" ]; then pass=$((pass + 1)); else fail=$((fail + 1)); echo "FAIL README: no $page"; fi
done
follow docs/tutorial.md
# the links of both documents lead somewhere
for doc in README.md docs/tutorial.md docs/README.md; do
  for link in $(grep -o '](\([^)#]*\))' "$doc" | sed 's/^](//; s/)$//' | grep -v '^https*:'); do
    if [ -e "$(dirname "$doc")/$link" ]; then pass=$((pass + 1)); else fail=$((fail + 1)); echo "FAIL $doc: no $link"; fi
  done
done

echo "$pass passed, $fail failed"
[ $fail -eq 0 ]
