// Embeddings a second of the plugin against a plain loop over the same model as TorchScript, one
// text a call. Both run in this process on one thread, in turn within each round; the ratio is
// taken round by round, so that a machine which slows down or is shared slows both.
//
// Usage: embed_bench MODEL_DIRECTORY TORCHSCRIPT_FILE [ROUNDS]
// Token ids are random: they do not change the work. Lengths are those of chunks and of short
// queries.

#include <ATen/Parallel.h>
#include <dlfcn.h>
#include <penstock_plugin.h>
#include <torch/script.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <functional>
#include <random>
#include <string>
#include <vector>

namespace {

using Tokens = std::vector<std::int32_t>;

[[noreturn]] void stop(const std::string& reason) {
    std::fprintf(stderr, "embed_bench: %s\n", reason.c_str());
    std::exit(1);
}

void print_error(penstock_model_error*, penstock_str message) {
    std::fprintf(stderr, "%.*s\n", static_cast<int>(message.size), message.data);
}
void print_log(std::int32_t, penstock_str message) {
    print_error(nullptr, message);
}

/// The plugin on one session of one thread.
class Plugin {
  public:
    explicit Plugin(const std::string& directory) {
        void* library = dlopen(PENSTOCK_TORCH_PLUGIN, RTLD_NOW | RTLD_LOCAL);
        if (library == nullptr) stop(dlerror());
        const auto entry =
            reinterpret_cast<decltype(&penstock_plugin_v1)>(dlsym(library, "penstock_plugin_v1"));
        backend_ = entry()->backends[0];
        static constexpr penstock_backend_host kHost{sizeof(penstock_backend_host),
                                                     PENSTOCK_ABI_MINOR, print_error, print_log};
        void* model =
            backend_->open(&kHost, nullptr, {directory.data(), directory.size()}, {"", 0});
        if (model == nullptr) stop("the model does not open");
        session_ = backend_->session_open(model, nullptr, 1);
    }

    void run(const std::vector<Tokens>& texts, std::size_t at_once) const {
        for (std::size_t first = 0; first < texts.size(); first += at_once) {
            std::vector<std::int64_t> offsets{0};
            Tokens ids;
            for (std::size_t i = first; i < std::min(texts.size(), first + at_once); ++i) {
                ids.insert(ids.end(), texts[i].begin(), texts[i].end());
                offsets.push_back(static_cast<std::int64_t>(ids.size()));
            }
            const penstock_batch batch{sizeof(penstock_batch), 0,          offsets.size() - 1,
                                       offsets.data(),         ids.data(), nullptr};
            penstock_result result{};
            result.size = sizeof(result);
            if (backend_->run(session_, nullptr, &batch, &result) != PENSTOCK_OK)
                stop("run failed");
        }
    }

  private:
    const penstock_backend* backend_ = nullptr;
    void* session_ = nullptr;
};

void run_script(torch::jit::Module& module, const std::vector<Tokens>& texts) {
    const c10::InferenceMode guard;
    for (const Tokens& text : texts) {
        const at::Tensor ids =
            at::tensor(at::ArrayRef<std::int32_t>(text), at::kInt).to(at::kLong).unsqueeze(0);
        (void)module.forward({ids, at::ones_like(ids)}).toTensor().sum().item<float>();
    }
}

/// CPU seconds of this process: what other processes take away does not count.
double seconds(const std::function<void()>& work) {
    const auto now = [] {
        timespec time{};
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
        return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
    };
    const double start = now();
    work();
    return now() - start;
}

double median(std::vector<double> values) {
    std::ranges::sort(values);
    const std::size_t middle = values.size() / 2;
    return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

std::vector<Tokens> texts(std::size_t count, std::size_t shortest, std::size_t longest) {
    std::mt19937 random(7);
    std::vector<Tokens> result(count);
    for (Tokens& tokens : result) {
        tokens.resize(shortest + random() % (longest - shortest + 1));
        for (std::int32_t& id : tokens)
            id = static_cast<std::int32_t>(6 + random() % 7990);
    }
    return result;
}

void compare(const char* name, const Plugin& plugin, torch::jit::Module& module,
             const std::vector<Tokens>& sample, int rounds) {
    struct Way {
        const char* name;
        std::function<void()> run;
        std::vector<double> seconds;
    };
    Way ways[] = {{"TorchScript, 1 a call", [&] { run_script(module, sample); }, {}},
                  {"plugin, 1 a call", [&] { plugin.run(sample, 1); }, {}},
                  {"plugin, 16 a call", [&] { plugin.run(sample, 16); }, {}}};
    for (Way& way : ways)
        way.run();
    for (int round = 0; round < rounds; ++round) {
        for (Way& way : ways)
            way.seconds.push_back(seconds(way.run));
    }
    for (const Way& way : ways) {
        std::vector<double> ratios;
        for (std::size_t i = 0; i < way.seconds.size(); ++i) {
            ratios.push_back(ways[0].seconds[i] / way.seconds[i]);
        }
        std::printf("%-14s %-22s %8.1f embeddings/s   ratio %.2f (%.2f to %.2f)\n", name, way.name,
                    static_cast<double>(sample.size()) / median(way.seconds), median(ratios),
                    *std::ranges::min_element(ratios), *std::ranges::max_element(ratios));
    }
}

}  // namespace

int main(int argc, char** argv) {
    if (argc < 3) stop("usage: embed_bench MODEL_DIRECTORY TORCHSCRIPT_FILE [ROUNDS]");
    const int rounds = argc > 3 ? std::atoi(argv[3]) : 11;
    at::set_num_threads(1);
    const Plugin plugin(argv[1]);
    torch::jit::Module module = torch::jit::load(argv[2]);
    module.eval();
    compare("chunks 60-128", plugin, module, texts(48, 60, 128), rounds);
    compare("queries 4-12", plugin, module, texts(160, 4, 12), rounds);
    return 0;
}
