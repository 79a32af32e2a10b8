/* The C header as a plugin author's compiler sees it: every declaration used once, in strict C. */
#include <penstock_plugin.h>

typedef char c99_or_later[__STDC_VERSION__ >= 199901L ? 1 : -1];

static void* create(const penstock_host* host, penstock_load* load, penstock_str options) {
    penstock_str name = PENSTOCK_STR("field");
    penstock_value value;
    (void)options;
    if (host->size < sizeof(penstock_host)) return NULL;
    if (host->option(load, name, &value) != PENSTOCK_OK || value.kind != PENSTOCK_STRING) {
        host->load_error(load, name, name);
        return NULL;
    }
    if (!host->text(load, name, value.as.text)) return NULL;
    return (void*)host->path(load, name, value.as.text);
}
static void destroy(void* self) {
    (void)self;
}
static penstock_status run(void* self, penstock_doc* doc) {
    return self && doc ? PENSTOCK_OK : PENSTOCK_DROP;
}

static void* open_model(const penstock_backend_host* host, penstock_model_error* error,
                        penstock_str directory, penstock_str config) {
    (void)config;
    host->error(error, directory);
    return NULL;
}
static penstock_status info(void* model, penstock_model_info* out) {
    out->max_tokens = model ? 1 : 0;
    return PENSTOCK_OK;
}
static void* session_open(void* model, penstock_model_error* error, int32_t threads) {
    (void)error;
    return threads > 0 ? model : NULL;
}
static penstock_status run_batch(void* session, penstock_model_error* error,
                                 const penstock_batch* batch, penstock_result* out) {
    (void)error;
    out->width = session ? (int64_t)batch->sequences : 0;
    return PENSTOCK_FAIL;
}

static const penstock_processor processor = {
    sizeof(penstock_processor), PENSTOCK_SINGLE_THREADED, PENSTOCK_STR("{}"), create, destroy, run};
static const penstock_backend backend = {sizeof(penstock_backend),
                                         0,
                                         PENSTOCK_STR("none"),
                                         open_model,
                                         info,
                                         destroy,
                                         session_open,
                                         destroy,
                                         run_batch};
static const penstock_processor* const processors[] = {&processor};
static const penstock_backend* const backends[] = {&backend};
static const penstock_plugin plugin = {sizeof(penstock_plugin),
                                       PENSTOCK_ABI_MINOR,
                                       0,
                                       0,
                                       PENSTOCK_STR("abi"),
                                       PENSTOCK_STR("1"),
                                       1,
                                       processors,
                                       1,
                                       backends};

const penstock_plugin* penstock_plugin_v1(void) {
    return &plugin;
}
