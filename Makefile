# SPDX-License-Identifier: Apache-2.0
# Short front of the CMake build. `make` builds, `make demo` shows, `make test` checks everything.
# `make` alone installs nothing; `make setup`, `make demo` and `make test` install what is missing where they may (tools/setup.sh).
PREFIX ?= /usr/local
JOBS ?= $(shell nproc)
# Ninja where it is there.
CMAKE = cmake --log-level=NOTICE $(if $(shell command -v ninja),-G Ninja)
CLANG = CC=clang CXX=clang++

.PHONY: all setup demo test bench install package sbom reproducible clean
all:
	@test -e build/build.ninja -o -e build/Makefile || { tools/setup.sh check && $(CMAKE) -B build; }
	@cmake --build build -j $(JOBS)

setup:
	@tools/setup.sh install

demo:
	@tools/setup.sh install
	@$(MAKE) --no-print-directory all
	@build/xtransplant demo

# gcc, gcc with address and undefined-behaviour sanitizers, clang, and gcc with the thread sanitizer.
test:
	@tools/setup.sh install test
	@$(MAKE) --no-print-directory builds
	@tests/run.sh build build-asan build-clang build-tsan

.PHONY: builds
builds:
	@$(CMAKE) -B build -DXT_TESTS=ON -DXT_PYTHON=AUTO && cmake --build build -j $(JOBS)
	@$(CMAKE) -B build-asan -DCMAKE_BUILD_TYPE=RelWithDebInfo -DXT_SANITIZE=address -DXT_BENCH=OFF -DXT_TESTS=ON -DXT_WERROR=ON && cmake --build build-asan -j $(JOBS)
	@$(CLANG) $(CMAKE) -B build-clang -DXT_TESTS=ON -DXT_WERROR=ON && cmake --build build-clang -j $(JOBS)
	@$(CMAKE) -B build-tsan -DCMAKE_BUILD_TYPE=RelWithDebInfo -DXT_SANITIZE=thread -DXT_BENCH=OFF -DXT_TESTS=ON && cmake --build build-tsan -j $(JOBS) --target threaded_tests

# Every reader of tests/fuzz for SECONDS each (clang's libFuzzer); what it finds goes into build-fuzz/findings.
SECONDS ?= 60
.PHONY: fuzz
fuzz:
	@$(CLANG) $(CMAKE) -B build-fuzz -DCMAKE_BUILD_TYPE=RelWithDebInfo -DXT_FUZZ=ON -DXT_BENCH=OFF -DXT_TESTS=ON >/dev/null && cmake --build build-fuzz -j $(JOBS) --target fuzz_main
	@tests/fuzz/run.sh build-fuzz $(SECONDS)

bench: all
	@build/bench/bench_matmul

install: all
	@$(CMAKE) -B build -DCMAKE_INSTALL_PREFIX=$(PREFIX) && cmake --build build -j $(JOBS) && cmake --install build

# What the program is made of: SPDX 2.3, written when the build is configured.
sbom: all
	@echo build/xtransplant.spdx.json

# Two builds in different folders, compared byte by byte.
reproducible:
	@tests/structure/reproducible.sh --whole

# A Debian package, xtransplant_VERSION_ARCH.deb, in build/package.
package: all
	@cd build && cpack -G DEB -B package && ls package/*.deb

clean:
	rm -rf build build-asan build-clang build-tsan build-fuzz
