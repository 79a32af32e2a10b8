/*
 * Penstock plugin ABI, major version 1.
 *
 * A plugin is a shared library that exports one symbol, `penstock_plugin_v1`, which returns a
 * table. This header needs only <stddef.h> and <stdint.h>, and compiles as C99 and later and as
 * C++11 and later. The README.md of the SDK tells how to write and build one.
 *
 * Conventions, for every function here:
 *  1. Strings are pointer + length, UTF-8, not NUL-terminated, borrowed for the duration of the
 *     call unless the comment says how long they live.
 *  2. Every table starts with its `size` in bytes, filled by the side that owns it. Tables grow
 *     at the end only, in minor versions; a reader checks `size` before it reads an entry added
 *     later. A structure that the callee fills in (`out`) has its `size` set and the rest zeroed
 *     by the caller; the callee writes no further than that. Reserved entries are 0.
 *  3. Whoever creates an object frees it, through a function of the same table.
 *  4. No exception, no longjmp and no C++ type crosses this line.
 *  5. A thread tag says who may call: [load-thread] while a pipeline or model is being built, one
 *     call into a plugin at a time; [run-thread] while documents or batches run; [any-thread] always.
 *
 * A plugin built against minor version N works with every later host of the same major version.
 * A host whose minor version is below the plugin's `required_minor` refuses it and says so.
 */
#ifndef PENSTOCK_PLUGIN_H
#define PENSTOCK_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PENSTOCK_ABI_MAJOR 1u
#define PENSTOCK_ABI_MINOR 0u

/* ---- values */

typedef struct penstock_str {
    const char* data; /* may be NULL when size is 0 */
    size_t size;
} penstock_str;

/* Initialises a penstock_str from a string literal. */
/* clang-format off */
#define PENSTOCK_STR(literal) {(literal), sizeof(literal) - 1u}
/* clang-format on */

typedef uint32_t penstock_kind;
#define PENSTOCK_NULL 0u
#define PENSTOCK_BOOL 1u
#define PENSTOCK_INT 2u /* 64-bit signed */
#define PENSTOCK_DOUBLE 3u
#define PENSTOCK_STRING 4u
/* An object, an array or a number beyond int64 and double, as JSON text: its first character
 * ('{', '[' or another) says which. */
#define PENSTOCK_JSON 5u

typedef struct penstock_value {
    penstock_kind kind;
    uint32_t reserved;
    union {
        uint8_t boolean;
        int64_t integer;
        double number;
        penstock_str text; /* PENSTOCK_STRING and PENSTOCK_JSON */
    } as;
} penstock_value;

typedef int32_t penstock_status;
#define PENSTOCK_OK 0
#define PENSTOCK_DROP 1    /* run(): leave the document out without error */
#define PENSTOCK_FAIL 2    /* a reason was given through the table's error function */
#define PENSTOCK_MISSING 3 /* get(), remove(), option(): there is none; not an error by itself */

/* ---- what the host offers to processors */

typedef struct penstock_doc penstock_doc;   /* opaque; valid during one run() */
typedef struct penstock_load penstock_load; /* opaque; valid during one create() */
typedef struct penstock_path penstock_path; /* a field path, split once; lives with its processor */
typedef struct penstock_text penstock_text; /* a text with template tags, compiled once; likewise */

typedef struct penstock_host {
    uint32_t size;
    uint32_t abi_minor;

    /* [load-thread] Compiles a field path ("a.b", "_id", "_ingest.timestamp"); where the option's
     * specification says "templated", template tags in it are rendered for each document. NULL,
     * with the reason already reported under `option`, when it is not a path. The host frees it
     * after destroy(). */
    const penstock_path* (*path)(penstock_load*, penstock_str option, penstock_str text);
    /* [load-thread] Compiles a text that may hold Mustache tags ("{{name}}"), for render(). NULL,
     * with the reason already reported under `option`, when it is not a template. Freed as a path
     * is. */
    const penstock_text* (*text)(penstock_load*, penstock_str option, penstock_str text);
    /* [load-thread] Reports what is wrong with an option; may be called several times. create()
     * must then return NULL. `option` may be empty. */
    void (*load_error)(penstock_load*, penstock_str option, penstock_str message);
    /* [load-thread] Reads one option, its default filled in. Text in `out` lives until create()
     * returns. PENSTOCK_MISSING when it was not given and has no default. */
    penstock_status (*option)(penstock_load*, penstock_str name, penstock_value* out);

    /* [run-thread] Reads a field. Text in `out` lives until the next call with the same document.
     * PENSTOCK_MISSING when absent, in which case `out` is PENSTOCK_NULL; PENSTOCK_FAIL (with the
     * reason already given) when a templated path is no path for this document. */
    penstock_status (*get)(penstock_doc*, const penstock_path*, penstock_value* out);
    /* [run-thread] Writes a field, making parent objects. The value is copied. PENSTOCK_FAIL
     * (with the reason already given, so that run() can pass it on) when a parent is not an
     * object, an index is out of bounds, text is not UTF-8 or not JSON, or a double is not
     * finite. */
    penstock_status (*set)(penstock_doc*, const penstock_path*, const penstock_value*);
    /* [run-thread] Removes a field. PENSTOCK_MISSING when absent, PENSTOCK_FAIL (with the reason)
     * when it cannot be removed. */
    penstock_status (*remove)(penstock_doc*, const penstock_path*);
    /* [run-thread] Renders a text. `out` lives until the next call with the same document.
     * PENSTOCK_FAIL, with the reason already given, when it cannot be rendered. */
    penstock_status (*render)(penstock_doc*, const penstock_text*, penstock_str* out);
    /* [run-thread] Gives the reason for a following `return PENSTOCK_FAIL`; the last one counts. */
    void (*fail)(penstock_doc*, penstock_str message);
    /* [any-thread] Writes to the host's log. level: 0 debug, 1 info, 2 warning, 3 error. */
    void (*log)(int32_t level, penstock_str message);
} penstock_host;

/* ---- processors */

/* Flags of a processor. A host refuses flags that it does not know. */
#define PENSTOCK_SINGLE_THREADED 1u /* the host never runs one instance on two threads at once */

typedef struct penstock_processor {
    uint32_t size;
    uint32_t flags;
    /* The processor's specification as JSON, the built-in processors' own form, so that lint,
     * inspect, the reference and the examples' tests work on it (README.md has the details):
     * {"name", "summary", "description", "since", "options": [{"name", "type", "doc", "required",
     * "default", "templated", "values", "minimum", "maximum"}], "examples": [{"options", "in",
     * "out" or "fails"}]}. Lives as long as the library. */
    penstock_str spec;
    /* [load-thread] Makes one instance from its options, a JSON object with defaults filled in
     * and types checked. NULL after load_error(). The host table lives as long as the process. */
    void* (*create)(const penstock_host*, penstock_load*, penstock_str options);
    /* [load-thread] Frees an instance. */
    void (*destroy)(void* self);
    /* [run-thread] Runs on one document. Called on several threads at once for one instance
     * unless flagged otherwise. Must not block on I/O. What it changed is undone when it fails. */
    penstock_status (*run)(void* self, penstock_doc*);
} penstock_processor;

/* ---- inference backends */

typedef struct penstock_model_error penstock_model_error; /* opaque; valid during one call */

typedef struct penstock_backend_host {
    uint32_t size;
    uint32_t abi_minor;
    /* [any-thread] Gives the reason for a following failure. */
    void (*error)(penstock_model_error*, penstock_str message);
    void (*log)(int32_t level, penstock_str message);
} penstock_backend_host;

/* What a model is, known after open(). */
typedef struct penstock_model_info {
    uint32_t size;
    uint32_t reserved;
    uint64_t weight_bytes; /* memory of the one shared copy of the weights */
    int64_t max_tokens;    /* longest sequence in tokens, special tokens included */
    int64_t output_width;  /* columns of a result: dimensions, classes...; 0 if not known yet */
} penstock_model_info;

/* A packed batch: sequence i has the tokens ids[offsets[i]] .. ids[offsets[i+1]-1]. No padding. */
typedef struct penstock_batch {
    uint32_t size;
    uint32_t reserved;
    size_t sequences;        /* at least 1 */
    const int64_t* offsets;  /* sequences + 1 entries, offsets[0] == 0 */
    const int32_t* ids;      /* offsets[sequences] entries */
    const int32_t* type_ids; /* as ids, or NULL when all are 0 */
} penstock_batch;

/* Filled by run(). Sequence i's result is rows[i] x width floats, row-major, at data +
 * offsets[i]. Lives until the next run() of the same session or its close. rows is 1 for
 * embeddings and classifications. */
typedef struct penstock_result {
    uint32_t size;
    uint32_t reserved;
    const float* data;
    const int64_t* offsets; /* `sequences` entries */
    const int64_t* rows;    /* `sequences` entries */
    int64_t width;
} penstock_result;

typedef struct penstock_backend {
    uint32_t size;
    uint32_t reserved;
    penstock_str name; /* "torch": lower_snake */
    /* [load-thread] Opens a model: `directory` in HuggingFace layout or with a model.pt; `config`
     * is a JSON object {"device": "cpu"|"cuda:N", "dtype": "auto"|"float32"|"float16", "pooling",
     * "normalize", ...} as the model store read it. The handle is the one shared copy of the
     * weights. NULL on failure. */
    void* (*open)(const penstock_backend_host*, penstock_model_error*, penstock_str directory,
                  penstock_str config);
    /* [any-thread] */
    penstock_status (*info)(void* model, penstock_model_info* out);
    /* [load-thread] After all its sessions are closed. */
    void (*close)(void* model);
    /* [any-thread] One session is one allocation: scratch memory and `threads` compute threads of
     * its own over the shared weights. NULL on failure. */
    void* (*session_open)(void* model, penstock_model_error*, int32_t threads);
    void (*session_close)(void* session);
    /* [run-thread] Never two at once per session; sessions of one model run at the same time.
     * All-or-nothing: PENSTOCK_FAIL with a reason fails the whole batch. */
    penstock_status (*run)(void* session, penstock_model_error*, const penstock_batch*,
                           penstock_result* out);
} penstock_backend;

/* ---- the plugin */

typedef struct penstock_plugin {
    uint32_t size;
    uint32_t abi_minor;      /* PENSTOCK_ABI_MINOR of the header it was built against */
    uint32_t required_minor; /* the oldest host minor version it works with */
    uint32_t reserved;
    penstock_str name; /* lower_snake, unique in a process */
    penstock_str version;
    size_t processor_count;
    const penstock_processor* const* processors;
    size_t backend_count;
    const penstock_backend* const* backends;
} penstock_plugin;

#if defined(_WIN32)
#define PENSTOCK_EXPORT __declspec(dllexport)
#elif defined(__GNUC__)
#define PENSTOCK_EXPORT __attribute__((visibility("default")))
#else
#define PENSTOCK_EXPORT
#endif

/* The one exported symbol; its name carries the major version. Lives as long as the library. */
PENSTOCK_EXPORT const penstock_plugin* penstock_plugin_v1(void);

#ifdef __cplusplus
}
#endif
#endif
