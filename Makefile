# Percept. `make help` lists the targets. Everything is built out of tree, in $(BUILD); V=1 shows the commands.

BUILD   ?= build
PREFIX  ?= /usr/local
CC      ?= gcc
DESTDIR ?=
JOBS    ?= $(shell nproc)
V       ?= 0

PACKAGES = gcc make pkg-config libc6-dev luajit libluajit-5.1-dev libopenblas-openmp-dev liblapacke-dev libsqlite3-dev \
           sqlite3 libpng-dev libcairo2-dev fonts-dejavu-core zlib1g-dev libzstd-dev libxxhash-dev libjansson-dev \
           libedit-dev check git ca-certificates
DEV_PACKAGES = clang libclang-rt-dev libomp-dev clang-tidy clang-format cppcheck lua-check valgrind tmux gcovr

MULTIARCH := $(shell $(CC) -print-multiarch 2>/dev/null)
WARN    = -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wvla -Wno-unused-parameter -Wno-override-init \
          -Wno-missing-field-initializers
OPT    ?= -O2 -g
SAN    ?=
CFLAGS  = -std=c11 -D_GNU_SOURCE $(OPT) $(WARN) $(SAN) -fopenmp -fPIC -fno-math-errno -fno-trapping-math \
          -Iengine -I. -I$(BUILD)/gen $(shell pkg-config --cflags luajit libpng cairo jansson libedit sqlite3 2>/dev/null) \
          -I/usr/include/$(MULTIARCH)/openblas-openmp
LIBS    = -llapacke -lopenblas -lcairo -lpng -lz -lzstd -lxxhash -ljansson -lsqlite3 -ledit -lm
LUALIB  = $(shell pkg-config --libs luajit 2>/dev/null)

ENGINE_SRC  := $(sort $(shell find engine -name '*.c'))
DB_SRC      := $(sort $(shell find db -name '*.c'))
BIND_SRC    := $(sort $(filter-out bindings/main.c,$(shell find bindings -name '*.c')))
LUA_SRC     := $(sort $(shell find scripts -name '*.lua'))
SQL_SRC     := $(sort $(shell find db -name '*.sql'))
TEST_SRC    := $(sort $(shell find tests -name 'test_*.c'))

# `make V=1` shows commands; `make` alone uses every processor, `make -j N` is obeyed
Q    = $(if $(filter 1,$(V)),,@)
say  = $(if $(filter 1,$(V)),,@printf '  %-4s %s\n' $(1) $(2))
MAKE_ALL = +$(MAKE) --no-print-directory $(if $(findstring -j,$(MAKEFLAGS)),,-j$(JOBS))

obj = $(patsubst %.c,$(BUILD)/%.o,$(1))
ENGINE_OBJ := $(call obj,$(ENGINE_SRC))
DB_OBJ     := $(call obj,$(DB_SRC)) $(BUILD)/gen/sql.o
BIND_OBJ   := $(call obj,$(BIND_SRC)) $(BUILD)/gen/lua.o
TESTS      := $(patsubst tests/%.c,$(BUILD)/tests/%,$(TEST_SRC))

.PHONY: help deps dev-deps build tests quickstart test ctrlc lint sanitize bench docs install uninstall clean
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

help: ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n",$$1,$$2}' Makefile

missing = $(shell for p in $(1); do dpkg-query -W -f='$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || echo $$p; done)
SUDO = $(shell [ "$$(id -u)" = 0 ] || echo sudo)
# $(call install,TARGET,PACKAGES)
install = @m="$(call missing,$(2))"; \
  if [ -z "$$m" ]; then echo "$(1): all packages are there"; \
  elif ! command -v apt-get >/dev/null; then echo "$(1): no apt-get here; going on without a look at the packages $(2)"; \
  else echo "$(1): installing from Debian:" $$m; \
    $(SUDO) apt-get update -qq && \
    $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$m || \
    { echo "$(1): failed; install these packages, then try again:" $$m; exit 1; }; fi

deps: ## install the Debian packages that are missing (sudo when not root)
	$(call install,deps,$(PACKAGES))

dev-deps: deps ## install what lint and sanitize need besides
	$(call install,dev-deps,$(DEV_PACKAGES))

# deps may change what pkg-config answers: everything after it runs in a second make
build: deps ## build build/percept and build/percept.so
	@$(MAKE_ALL) all

.PHONY: all
all: $(BUILD)/percept $(BUILD)/percept.so

# ---- objects ----
$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(CFLAGS) -MMD -MP -c -o $@ $<

# kernels are compiled with -O3: loops there are written to be vectorised
$(BUILD)/engine/tensor/%.o $(BUILD)/engine/base/%.o $(BUILD)/engine/optim/%.o $(BUILD)/engine/inverter/%.o: OPT := -O3 -g

# every Lua file of scripts/ is embedded as source, so that the program needs no path at run time
$(BUILD)/gen/lua.c: $(LUA_SRC) scripts/modules.def bindings/embed.sh
	@mkdir -p $(@D)
	@sh bindings/embed.sh lua $(LUA_SRC) > $@
$(BUILD)/gen/sql.c: $(SQL_SRC) bindings/embed.sh
	@mkdir -p $(@D)
	@sh bindings/embed.sh sql $(SQL_SRC) > $@
$(BUILD)/gen/%.o: $(BUILD)/gen/%.c
	$(call say,CC,$<)
	$(Q)$(CC) $(CFLAGS) -c -o $@ $<

$(BUILD)/libengine.a: $(ENGINE_OBJ)
	@rm -f $@; ar rcs $@ $^
$(BUILD)/libdb.a: $(DB_OBJ)
	@rm -f $@; ar rcs $@ $^
$(BUILD)/percept: $(BUILD)/bindings/main.o $(BIND_OBJ) $(BUILD)/libdb.a $(BUILD)/libengine.a
	$(call say,LD,$@)
	$(Q)$(CC) $(SAN) -fopenmp -o $@ $^ -Wl,-E $(LUALIB) $(LIBS)
# nodelete: what a finaliser makes while Lua closes is let go after Lua has closed the libraries
$(BUILD)/percept.so: $(BIND_OBJ) $(BUILD)/libdb.a $(BUILD)/libengine.a
	$(call say,LD,$@)
	$(Q)$(CC) $(SAN) -fopenmp -shared -Wl,-z,nodelete -o $@ $^ $(LIBS)

# ---- tests: one program a suite; those under tests/bindings and tests/db link the upper floors ----
$(BUILD)/tests/%: tests/%.c $(BUILD)/libdb.a $(BUILD)/libengine.a
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(CFLAGS) -Itests -MMD -MP -o $@ $< $(BUILD)/libdb.a $(BUILD)/libengine.a -lcheck -lsubunit -lrt -lpthread $(LIBS)

# ---- fuzz targets: C files, and Lua files behind fuzz_script.c; linked with replay.c here, with libFuzzer in `make fuzz` ----
FUZZ_C    := $(patsubst tests/fuzz/fuzz_%.c,%,$(filter-out tests/fuzz/fuzz_script.c,$(wildcard tests/fuzz/fuzz_*.c)))
FUZZ_LUA  := $(filter-out seeds,$(patsubst tests/fuzz/%.lua,%,$(wildcard tests/fuzz/*.lua)))
FUZZ_LIBS  = $(BIND_OBJ) $(BUILD)/libdb.a $(BUILD)/libengine.a -Wl,-E $(LUALIB) $(LIBS)
REPLAYS   := $(patsubst %,$(BUILD)/tests/fuzz/%,$(FUZZ_C) $(FUZZ_LUA))
FUZZERS   := $(patsubst %,$(BUILD)/fuzz_%,$(FUZZ_C) $(FUZZ_LUA))
fuzz_src   = $(if $(filter $(1),$(FUZZ_LUA)),tests/fuzz/fuzz_script.c -DSCRIPT='"$(1)"',tests/fuzz/fuzz_$(1).c)
$(REPLAYS): $(BUILD)/tests/fuzz/%: $(wildcard tests/fuzz/*.c tests/fuzz/*.h) $(BIND_OBJ) $(BUILD)/libdb.a $(BUILD)/libengine.a
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(CC) $(CFLAGS) -Itests/fuzz -o $@ $(call fuzz_src,$*) tests/fuzz/replay.c $(FUZZ_LIBS)
$(FUZZERS): $(BUILD)/fuzz_%: $(wildcard tests/fuzz/*.c tests/fuzz/*.h) $(BIND_OBJ) $(BUILD)/libdb.a $(BUILD)/libengine.a
	$(call say,CC,$@)
	$(Q)$(CC) $(CFLAGS) -fsanitize=fuzzer -Itests/fuzz -o $@ $(call fuzz_src,$*) $(FUZZ_LIBS)

.PHONY: fuzzers fuzz
fuzzers: all $(FUZZERS)

FUZZ_SECONDS ?= 30
FUZZ         ?=
fuzz: dev-deps ## clang's libFuzzer on readers, SQL, databases, reports and the Lua surface [FUZZ_SECONDS=30] [FUZZ="png sql"]
	@$(MAKE_ALL) fuzzers CC=clang BUILD=$(BUILD)/fuzz OPT="-O1 -g" \
	  SAN="-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer"
	@BUILD=$(BUILD)/fuzz sh tests/fuzz/run.sh $(FUZZ_SECONDS) $(FUZZ)

# ---- injected faults: a library put before the program ----
SHIM = $(BUILD)/tests/faults/shim.so
$(SHIM): tests/faults/shim.c
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) -std=gnu11 -O1 -g $(WARN) -shared -fPIC -o $@ $< -ldl

.PHONY: faults
FAULTS ?= 2000
SEED   ?= 1
KINDS  ?=
faults: build ## injected faults, one a process, into a whole small study [FAULTS=2000] [SEED=1] [KINDS=malloc,kill,power]
	@$(MAKE_ALL) $(SHIM)
	@JOBS=$(JOBS) $(BUILD)/percept tests/faults/inject.lua $(SHIM) $(FAULTS) $(SEED) $(KINDS)

.PHONY: soak
MINUTES ?= 30
soak: build ## half an hour of training, search, replay and recording, watched from outside [MINUTES=30]
	@$(BUILD)/percept tests/soak/soak.lua $(MINUTES)

tests: all $(TESTS) $(REPLAYS) $(SHIM)

quickstart: build ## build, then the main job on real images: about three minutes
	@$(BUILD)/percept run experiments/quickstart.lua

test: deps ## every suite: C, Lua, command line
	@$(MAKE_ALL) tests
	@BUILD=$(BUILD) sh tests/run.sh

# the limit is meant for a machine with nothing else to do
ctrlc: build ## N=500 interrupts at random moments of a prompt, each answered within 200 ms [SEED=1]
	@$(MAKE_ALL) $(BUILD)/tests/cli/test_ctrlc
	@PERCEPT=$(BUILD)/percept CTRLC=$(or $(N),500) CTRLC_LIMIT=200 $(BUILD)/tests/cli/test_ctrlc

lint: dev-deps ## clang-format, cppcheck, luacheck
	@sh tests/lint.sh

sanitize: dev-deps ## ASan + UBSan, ThreadSanitizer, valgrind, gcc -fanalyzer: tests/sanitize.sh asan, threads, ... does one
	@sh tests/sanitize.sh

.PHONY: coverage
coverage: dev-deps ## lines and branches that the suites reach, into build/coverage/index.html
	@sh tests/coverage.sh

bench: build ## step times of the paper's workloads, into build/bench.db [ROWS=a,i] [PEER_PYTHON=python3 with torch]
	@$(BUILD)/percept run tests/bench/bench.lua --db $(BUILD)/bench.db $(if $(ROWS),--set rows=$(ROWS)) \
	  $(if $(PEER_PYTHON),--set peer=$(PEER_PYTHON))

# the manual page and the completions come from the declarations of the commands
MAN   = $(BUILD)/share/man/man1/percept.1
BASHC = $(BUILD)/share/bash-completion/completions/percept
ZSHC  = $(BUILD)/share/zsh/site-functions/_percept
$(MAN) $(BASHC) $(ZSHC): $(BUILD)/percept
	@mkdir -p $(@D)
	@$(BUILD)/percept help $(if $(filter $(MAN),$@),--man,--completion $(if $(filter $(ZSHC),$@),zsh,bash)) > $@

docs: build ## a page for every Lua module, as Markdown, into build/docs
	@rm -rf $(BUILD)/docs
	@$(BUILD)/percept -e 'print(require("percept.docs").write("$(BUILD)/docs") .. " pages: $(BUILD)/docs/README.md")'

install: build ## install to $(PREFIX), by default /usr/local
	@$(MAKE_ALL) $(MAN) $(BASHC) $(ZSHC)
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/lib/lua/5.1 $(DESTDIR)$(PREFIX)/share/man/man1 \
	  $(DESTDIR)$(PREFIX)/share/bash-completion/completions $(DESTDIR)$(PREFIX)/share/zsh/site-functions
	install -m 755 $(BUILD)/percept $(DESTDIR)$(PREFIX)/bin/percept
	install -m 755 $(BUILD)/percept.so $(DESTDIR)$(PREFIX)/lib/lua/5.1/percept.so
	install -m 644 $(MAN) $(DESTDIR)$(PREFIX)/share/man/man1/percept.1
	install -m 644 $(BASHC) $(DESTDIR)$(PREFIX)/share/bash-completion/completions/percept
	install -m 644 $(ZSHC) $(DESTDIR)$(PREFIX)/share/zsh/site-functions/_percept

uninstall: ## remove what install put there
	rm -f $(DESTDIR)$(PREFIX)/bin/percept $(DESTDIR)$(PREFIX)/lib/lua/5.1/percept.so \
	  $(DESTDIR)$(PREFIX)/share/man/man1/percept.1 $(DESTDIR)$(PREFIX)/share/bash-completion/completions/percept \
	  $(DESTDIR)$(PREFIX)/share/zsh/site-functions/_percept

clean: ## remove the build folder
	rm -rf $(BUILD)

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
