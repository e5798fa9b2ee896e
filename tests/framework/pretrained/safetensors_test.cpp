// Safetensors files that lie.
#include <gtest/gtest.h>

#include "cluster/error.hpp"
#include "cluster/file.hpp"
#include "framework/pretrained/safetensors.hpp"
#include "tests/support/temporary_folder.hpp"

namespace trireme::framework {
namespace {

/// A safetensors file with this header over 16 bytes of data.
std::string error_of(std::string const& header, std::size_t data = 16) {
    test::TemporaryFolder const folder;
    std::string const path = folder.path() + "/model.safetensors";
    std::uint64_t const length = header.size();
    std::string bytes(reinterpret_cast<char const*>(&length), 8);
    cluster::write_file(path, bytes + header + std::string(data, '\0'));
    try {
        pretrained::read_safetensors_header(path);
    } catch (cluster::InputError const& error) {
        return error.what();
    }
    return "no error";
}

TEST(Safetensors, RefusesEveryLie) {
    auto const says = [](std::string const& message, char const* part) {
        EXPECT_NE(message.find(part), std::string::npos) << message;
    };
    EXPECT_EQ(error_of(R"({"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}})"), "no error");
    says(error_of(R"({"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}})", 12), "truncated");
    says(error_of(R"({"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}})", 20),
         "4 bytes after the last tensor");
    says(error_of(R"({"a":{"dtype":"F32","shape":[5],"data_offsets":[0,16]}})"),
         "as many elements as its 16 bytes");
    says(error_of(R"({"a":{"dtype":"F33","shape":[4],"data_offsets":[0,16]}})"),
         "dtype F33: legal");
    says(
        error_of(
            R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}})"),
        "overlap");
    says(
        error_of(
            R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[2],"data_offsets":[8,16]}})"),
        "hole");
    says(
        error_of(
            R"({"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]},"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}})"),
        "is given twice");
    says(error_of(R"({"a":{"dtype":"F32","shape":[-4],"data_offsets":[0,16]}})"),
         "whose product fits in 64 bits");
    says(error_of(R"({"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,16]}})"),
         "whose product fits in 64 bits");
    says(error_of("{\"a\""), "not JSON");
    says(error_of("[]"), "legal: a JSON object");
}

TEST(Safetensors, PickledWeightsAreRefusedWithTheCommandThatMakesSafetensorsOfThem) {
    test::TemporaryFolder const folder;
    cluster::write_file(folder.path() + "/pytorch_model.bin", "PK");
    auto const says = [&] {
        try {
            pretrained::find_tensors(folder.path());
        } catch (cluster::InputError const& error) {
            return std::string(error.what());
        }
        return std::string("no error");
    };
    auto const wanted = [&](std::string const& reader) {
        return folder.path() +
               "/pytorch_model.bin: pickled weights, which run code when they are read; legal: "
               "model.safetensors, as transformers writes it: python -c 'from transformers "
               "import " +
               reader + " as M; M.from_pretrained(\"" + folder.path() + "\").save_pretrained(\"" +
               folder.path() + "\")'";
    };
    EXPECT_EQ(says(), wanted("AutoModel"));
    // another class would leave the head out
    cluster::write_file(folder.path() + "/config.json",
                        R"({"architectures": ["RobertaForSequenceClassification"]})");
    EXPECT_EQ(says(), wanted("RobertaForSequenceClassification"));
}

} // namespace
} // namespace trireme::framework
