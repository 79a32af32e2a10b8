// Writes small TorchScript archives, one folder each, for torchscript_test: the ways models are
// called and return, and what a hostile one could hold. Usage: torch_make_torchscript DIRECTORY

#include <torch/script.h>

#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

namespace {

struct Archive {
    const char* name;
    const char* code;
};

// `table` is [50, 8] with table[i][j] = i + j / 10.
constexpr Archive kArchives[] = {
    {"one_input", R"(
def forward(self, ids: Tensor) -> Tensor:
    return self.table[ids].sum(1)
)"},
    {"two_inputs", R"(
def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
    return (self.table[ids] * mask.unsqueeze(-1)).mean(1)
)"},
    {"three_inputs", R"(
def forward(self, ids: Tensor, mask: Tensor, types: Tensor) -> Tensor:
    return (self.table[ids] + 100 * types.unsqueeze(-1)).sum(1)
)"},
    {"four_inputs_tuple", R"(
def forward(self, ids: Tensor, mask: Tensor, types: Tensor, positions: Tensor) -> Tuple[Tensor, Tensor]:
    hidden = self.table[ids] + 100 * types.unsqueeze(-1) + 1000 * positions.unsqueeze(-1)
    return hidden, hidden.mean(1)
)"},
    {"dictionary", R"(
def forward(self, ids: Tensor, mask: Tensor) -> Dict[str, Tensor]:
    return {"last_hidden_state": self.table[ids], "other": ids}
)"},
    {"half", R"(
def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
    return self.table[ids].mean(1).half()
)"},
    {"five_inputs", R"(
def forward(self, a: Tensor, b: Tensor, c: Tensor, d: Tensor, e: Tensor) -> Tensor:
    return self.table[a]
)"},
    {"returns_number", R"(
def forward(self, ids: Tensor) -> int:
    return 1
)"},
    {"returns_vector", R"(
def forward(self, ids: Tensor) -> Tensor:
    return self.table[0]
)"},
    {"fails", R"(
def forward(self, ids: Tensor) -> Tensor:
    return self.table.view(7, 7)
)"},
    {"fails_on_long", R"(
def forward(self, ids: Tensor) -> Tensor:
    return self.table[ids].view(1, 16)
)"},
    {"width_of_text", R"(
def forward(self, ids: Tensor) -> Tensor:
    return ids.float()
)"},
    {"calls_helper", R"(
def row(self, ids: Tensor, deep: bool) -> Tensor:
    if deep:
        return self.table[ids].sum(1)
    return self.table[ids].mean(1)
def forward(self, ids: Tensor) -> Tensor:
    return self.row(ids, ids.size(1) < 2)
)"},
    {"as_strided", R"(
def forward(self, ids: Tensor) -> Tensor:
    return torch.as_strided(self.table, [1, 100000], [1, 1])
)"},
    {"from_file", R"(
def helper(self, deep: bool) -> Tensor:
    if deep:
        return torch.from_file("some-file", False, 8)
    return self.table[0]
def forward(self, ids: Tensor) -> Tensor:
    return self.helper(ids.size(0) > 5).unsqueeze(0)
)"},
    {"save", R"(
def forward(self, ids: Tensor) -> Tensor:
    torch.save(self.table, "should-not-be-written")
    return self.table
)"},
    {"set_state", R"(
def forward(self, ids: Tensor) -> Tensor:
    return self.table[ids].sum(1)
def __getstate__(self) -> Tuple[Tensor, int]:
    return self.table, 1
def __setstate__(self, state: Tuple[Tensor, int]) -> None:
    self.table = state[0]
)"},
};

/// A module whose forward calls another one through an interface: inlining leaves the call, and
/// what it calls unread.
torch::jit::Module behind_interface(const at::Tensor& table) {
    torch::jit::Module inner("__torch__.Inner");
    inner.register_buffer("table", table);
    inner.define(R"(
def forward(self, ids: Tensor) -> Tensor:
    return torch.as_strided(self.table, [1, 8], [1, 1])
)");
    const auto interface = c10::InterfaceType::create({"__torch__.Embeds"}, /*is_module=*/true);
    const c10::FunctionSchema& schema = inner.get_method("forward").function().getSchema();
    std::vector<c10::Argument> arguments = schema.arguments();
    arguments.front() = c10::Argument("self", interface);
    interface->addMethod(c10::FunctionSchema("forward", "", arguments, schema.returns()));
    torch::jit::Module outer("__torch__.Outer");
    outer.register_attribute("inner", interface, inner._ivalue());
    outer.define(R"(
def forward(self, ids: Tensor) -> Tensor:
    return self.inner.forward(ids)
)");
    return outer;
}

void save(const torch::jit::Module& module, const std::filesystem::path& directory) {
    std::filesystem::create_directories(directory);
    module.save((directory / "model.pt").string());
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 2) {
        std::fprintf(stderr, "usage: %s DIRECTORY\n", argv[0]);
        return 2;
    }
    const std::filesystem::path root(argv[1]);
    const at::Tensor table =
        at::arange(50, at::kFloat).unsqueeze(1) + at::arange(8, at::kFloat) / 10;
    for (const Archive& archive : kArchives) {
        torch::jit::Module module(archive.name);
        module.register_buffer("table", table);
        module.define(archive.code);
        save(module, root / archive.name);
    }
    save(behind_interface(table), root / "interface");
    return 0;
}
