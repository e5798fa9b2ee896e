// Token files of golden models, and the files of numbers that `trireme verify` writes of them. No
// torch.
#pragma once
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "cluster/file.hpp"
#include "data/hdf5.hpp"
#include "framework/jobs/verify.hpp"
#include "tests/framework/pretrained/golden_files.hpp"
#include "tests/support/temporary_folder.hpp"
#include "tests/support/tiny_run.hpp"

namespace trireme::test {

using Json = nlohmann::json;

inline Json expected(std::string const& model) {
    return Json::parse(cluster::read_file(golden(model) + "/expected.json"));
}

/// The token file of a golden model.
inline Json tokens_of(std::string const& model) {
    Json const e = expected(model);
    return {{"input_ids", e["ids"]}, {"labels", e["labels"].empty() ? e["ids"] : e["labels"]}};
}

/// One file that verify wrote.
class Numerics {
  public:
    explicit Numerics(std::string path) : path_(std::move(path)), file_(data::open_h5(path_)) {}

    template <typename T = float>
    std::vector<T> read(std::string const& name, hid_t type = H5T_IEEE_F32LE) const {
        auto const extent = data::extent_of(file_, path_, name, type);
        std::vector<T> values(static_cast<std::size_t>(extent.count));
        std::ifstream bytes(path_, std::ios::binary);
        bytes.seekg(extent.offset);
        bytes.read(reinterpret_cast<char*>(values.data()),
                   static_cast<std::streamsize>(values.size() * sizeof(T)));
        EXPECT_TRUE(bytes.good()) << name;
        return values;
    }
    std::vector<hsize_t> shape(std::string const& name) const {
        data::H5 const set(H5Dopen2(file_, name.c_str(), H5P_DEFAULT), H5Dclose, path_, "open");
        data::H5 const space(H5Dget_space(set), H5Sclose, path_, "space");
        std::vector<hsize_t> shape(static_cast<std::size_t>(H5Sget_simple_extent_ndims(space)));
        H5Sget_simple_extent_dims(space, shape.data(), nullptr);
        return shape;
    }
    double loss() const { return read<double>("loss", H5T_IEEE_F64LE).at(0); }
    bool has(std::string const& name) const { return data::has_object(file_, name); }
    hsize_t gradients() const {
        data::H5 const group(H5Gopen2(file_, "grad", H5P_DEFAULT), H5Gclose, path_, "open");
        H5G_info_t info{};
        H5Gget_info(group, &info);
        return info.nlinks;
    }

  private:
    std::string path_;
    data::H5 file_;
};

class Verify : public testing::TestWithParam<char const*> {
  protected:
    std::string path(std::string const& name) const { return folder_.path() + "/" + name; }
    Outcome verify(int ranks, std::string const& model, Json const& tokens,
                   std::string const& output, std::vector<std::string> const& set = {}) const {
        cluster::write_file(path("tokens.json"),
                            tokens.is_string() ? tokens.get<std::string>() : tokens.dump());
        std::vector<std::string> arguments{"verify", model,       "--tokens", path("tokens.json"),
                                           "--out",  path(output)};
        for (auto const& assignment : set) arguments.insert(arguments.end(), {"--set", assignment});
        return run_command(trireme(ranks, arguments));
    }
    /// Returns what a run that must succeed wrote.
    Numerics numerics(int ranks, std::string const& model, Json const& tokens,
                      std::string const& output, std::vector<std::string> const& set = {}) const {
        Outcome const outcome = verify(ranks, model, tokens, output, set);
        EXPECT_EQ(outcome.exit_code, 0) << outcome.output;
        return Numerics(path(output));
    }

    TemporaryFolder folder_;
};

} // namespace trireme::test
