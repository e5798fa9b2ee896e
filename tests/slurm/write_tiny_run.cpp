// write_tiny_run FOLDER: the run of tests/support/tiny_run.hpp, for tests that are no C++; prints
// the path of its YAML.
#include <cstdio>

#include "tests/support/tiny_run.hpp"

int main(int argc, char** argv) {
    if (argc != 2) return std::fputs("usage: write_tiny_run FOLDER\n", stderr), 2;
    std::puts(trireme::test::write_tiny_run(argv[1]).c_str());
}
