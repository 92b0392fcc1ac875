# viaduct: a thin front door to meson and ninja.
#
#   make run    installs what is missing (as root, on Debian), builds, and runs the proxy
#   make test   the same for the tests, and runs them all
#
# BUILD=folder chooses another build folder, ARGS='…' hands arguments on to the program or to the tests.

BUILD ?= build
ARGS ?=
PREFIX ?= /usr/local

# Debian's own tools first: another python3 in front of it may lack what meson and the tests need.
export PATH := /usr/sbin:/usr/bin:/sbin:/bin:$(PATH)

all: $(BUILD)/build.ninja
	@ninja -C $(BUILD)

program: $(BUILD)/build.ninja
	@ninja -C $(BUILD) src/cli/viaduct

$(BUILD)/build.ninja: tools/packages-build.txt
	@tools/need tools/packages-build.txt
	@if [ -e $@ ]; then touch $@; else meson setup --prefix $(PREFIX) $(BUILD); fi

run: program
	@exec $(BUILD)/src/cli/viaduct serve $(ARGS)

test: all
	@tools/need tools/packages-build.txt tools/packages-test.txt tests/packages.txt
	@tools/test $(BUILD) $(ARGS)

install: all
	meson install -C $(BUILD) --no-rebuild

bench: program
	@tools/need tools/packages-build.txt tools/packages-bench.txt
	@bench/run --binary $(BUILD)/src/cli/viaduct $(ARGS)

format:
	@tools/format

check: all
	@tools/need tools/packages-build.txt tools/packages-test.txt
	@tools/test $(BUILD) --suite house --suite unit

clean:
	rm -rf $(BUILD)

.PHONY: all program run test install bench format check clean
