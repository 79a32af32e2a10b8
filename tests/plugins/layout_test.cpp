// Pins the ABI: a table may only grow at its end. A change of a number here breaks every plugin
// that exists.
#include <gtest/gtest.h>
#include <penstock_plugin.h>

#include <cstddef>
#include <type_traits>

namespace {

static_assert(sizeof(void*) == 8, "the numbers below are those of 64-bit machines");

#define EXPECT_AT(table, entry, at) \
    EXPECT_EQ(offsetof(table, entry), std::size_t{at}) << #table "::" #entry

TEST(Layout, values) {
    EXPECT_EQ(sizeof(penstock_str), 16u);
    EXPECT_AT(penstock_str, data, 0);
    EXPECT_AT(penstock_str, size, 8);
    EXPECT_EQ(sizeof(penstock_value), 24u);
    EXPECT_AT(penstock_value, kind, 0);
    EXPECT_AT(penstock_value, as, 8);
    EXPECT_EQ(sizeof(penstock_status), 4u);
    EXPECT_EQ(sizeof(penstock_kind), 4u);
}

TEST(Layout, constants) {
    EXPECT_EQ(PENSTOCK_ABI_MAJOR, 1u);
    EXPECT_EQ(PENSTOCK_NULL, 0u);
    EXPECT_EQ(PENSTOCK_BOOL, 1u);
    EXPECT_EQ(PENSTOCK_INT, 2u);
    EXPECT_EQ(PENSTOCK_DOUBLE, 3u);
    EXPECT_EQ(PENSTOCK_STRING, 4u);
    EXPECT_EQ(PENSTOCK_JSON, 5u);
    EXPECT_EQ(PENSTOCK_OK, 0);
    EXPECT_EQ(PENSTOCK_DROP, 1);
    EXPECT_EQ(PENSTOCK_FAIL, 2);
    EXPECT_EQ(PENSTOCK_MISSING, 3);
    EXPECT_EQ(PENSTOCK_SINGLE_THREADED, 1u);
}

TEST(Layout, host_1_0) {
    EXPECT_AT(penstock_host, size, 0);
    EXPECT_AT(penstock_host, abi_minor, 4);
    EXPECT_AT(penstock_host, path, 8);
    EXPECT_AT(penstock_host, text, 16);
    EXPECT_AT(penstock_host, load_error, 24);
    EXPECT_AT(penstock_host, option, 32);
    EXPECT_AT(penstock_host, get, 40);
    EXPECT_AT(penstock_host, set, 48);
    EXPECT_AT(penstock_host, remove, 56);
    EXPECT_AT(penstock_host, render, 64);
    EXPECT_AT(penstock_host, fail, 72);
    EXPECT_AT(penstock_host, log, 80);
    EXPECT_GE(sizeof(penstock_host), 88u);
}

TEST(Layout, processor_1_0) {
    EXPECT_AT(penstock_processor, size, 0);
    EXPECT_AT(penstock_processor, flags, 4);
    EXPECT_AT(penstock_processor, spec, 8);
    EXPECT_AT(penstock_processor, create, 24);
    EXPECT_AT(penstock_processor, destroy, 32);
    EXPECT_AT(penstock_processor, run, 40);
    EXPECT_GE(sizeof(penstock_processor), 48u);
}

TEST(Layout, backend_1_0) {
    EXPECT_AT(penstock_backend_host, error, 8);
    EXPECT_AT(penstock_backend_host, log, 16);
    EXPECT_GE(sizeof(penstock_backend_host), 24u);
    EXPECT_AT(penstock_model_info, weight_bytes, 8);
    EXPECT_AT(penstock_model_info, max_tokens, 16);
    EXPECT_AT(penstock_model_info, output_width, 24);
    EXPECT_GE(sizeof(penstock_model_info), 32u);
    EXPECT_AT(penstock_batch, sequences, 8);
    EXPECT_AT(penstock_batch, offsets, 16);
    EXPECT_AT(penstock_batch, ids, 24);
    EXPECT_AT(penstock_batch, type_ids, 32);
    EXPECT_GE(sizeof(penstock_batch), 40u);
    EXPECT_AT(penstock_result, data, 8);
    EXPECT_AT(penstock_result, offsets, 16);
    EXPECT_AT(penstock_result, rows, 24);
    EXPECT_AT(penstock_result, width, 32);
    EXPECT_GE(sizeof(penstock_result), 40u);
    EXPECT_AT(penstock_backend, name, 8);
    EXPECT_AT(penstock_backend, open, 24);
    EXPECT_AT(penstock_backend, info, 32);
    EXPECT_AT(penstock_backend, close, 40);
    EXPECT_AT(penstock_backend, session_open, 48);
    EXPECT_AT(penstock_backend, session_close, 56);
    EXPECT_AT(penstock_backend, run, 64);
    EXPECT_GE(sizeof(penstock_backend), 72u);
}

TEST(Layout, plugin_1_0) {
    EXPECT_AT(penstock_plugin, size, 0);
    EXPECT_AT(penstock_plugin, abi_minor, 4);
    EXPECT_AT(penstock_plugin, required_minor, 8);
    EXPECT_AT(penstock_plugin, name, 16);
    EXPECT_AT(penstock_plugin, version, 32);
    EXPECT_AT(penstock_plugin, processor_count, 48);
    EXPECT_AT(penstock_plugin, processors, 56);
    EXPECT_AT(penstock_plugin, backend_count, 64);
    EXPECT_AT(penstock_plugin, backends, 72);
    EXPECT_GE(sizeof(penstock_plugin), 80u);
}

}  // namespace
