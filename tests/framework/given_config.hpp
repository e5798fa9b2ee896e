// A configuration as a file, for tests that read it.
#pragma once

#include "cluster/file.hpp"
#include "tests/support/temporary_folder.hpp"

namespace trireme::framework {

constexpr char const* kGood = "run: r\ntask: classification\nmodel:\n  path: m\ndata:\n  path: d\n";

struct Given {
    test::TemporaryFolder folder;
    std::string path = folder.path() + "/run.yaml";
    explicit Given(std::string const& text) { cluster::write_file(path, text); }
};

} // namespace trireme::framework
