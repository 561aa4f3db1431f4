# SPDX-License-Identifier: Apache-2.0
# Short front of the CMake build. `make` builds, `make demo` shows, `make test` checks everything.
PREFIX ?= /usr/local
CMAKE = cmake -G Ninja

.PHONY: all setup demo test bench install package clean
all: build/build.ninja
	@cmake --build build

setup:
	@tools/setup.sh

build/build.ninja: | setup
	@$(CMAKE) -B build >/dev/null

demo: all
	@build/xtransplant demo

# gcc, gcc with address and undefined-behaviour sanitizers, clang, and gcc with the thread sanitizer.
test: all
	@$(CMAKE) -B build-asan -DCMAKE_BUILD_TYPE=RelWithDebInfo -DXT_SANITIZE=address -DXT_BENCH=OFF >/dev/null && cmake --build build-asan
	@CC=clang CXX=clang++ $(CMAKE) -B build-clang >/dev/null && cmake --build build-clang
	@$(CMAKE) -B build-tsan -DCMAKE_BUILD_TYPE=RelWithDebInfo -DXT_SANITIZE=thread -DXT_BENCH=OFF >/dev/null && cmake --build build-tsan --target threaded_tests
	@tests/run.sh build build-asan build-clang build-tsan

bench: all
	@build/bench/bench_matmul

install: all
	@$(CMAKE) -B build -DCMAKE_INSTALL_PREFIX=$(PREFIX) >/dev/null && cmake --build build && cmake --install build

# A Debian package, xtransplant_VERSION_ARCH.deb, in build/package.
package: all
	@cd build && cpack -G DEB -B package && ls package/*.deb

clean:
	rm -rf build build-asan build-clang build-tsan
