/*
 * The smallest plugin: one processor in C. It writes the long words of a text field in capitals:
 *
 *   - uppercase_words: {field: title, min_length: 5}     "on open rivers" -> "on open RIVERS"
 *
 * Only ASCII letters change and count; every other byte ends a word, so UTF-8 text stays valid.
 */
#include <penstock_plugin.h>
#include <stdlib.h>
#include <string.h>

typedef struct uppercase_words {
    const penstock_host* host;
    const penstock_path* field;
    size_t min_length;
} uppercase_words;

static int is_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static void capitalise(char* begin, const char* end) {
    for (; begin != end; ++begin) {
        if (*begin >= 'a' && *begin <= 'z') *begin = (char)(*begin - 'a' + 'A');
    }
}

static void capitalise_words(char* text, size_t size, size_t min_length) {
    size_t at = 0;
    while (at < size) {
        size_t end = at;
        while (end < size && is_letter(text[end]))
            ++end;
        if (end - at >= min_length) capitalise(text + at, text + end);
        at = end + 1;
    }
}

static penstock_status fail(const uppercase_words* self, penstock_doc* doc, const char* reason) {
    const penstock_str message = {reason, strlen(reason)};
    self->host->fail(doc, message);
    return PENSTOCK_FAIL;
}

static penstock_status run(void* instance, penstock_doc* doc) {
    const uppercase_words* self = (const uppercase_words*)instance;
    penstock_value value;
    penstock_status status;
    char* copy;

    if (self->host->get(doc, self->field, &value) != PENSTOCK_OK) {
        return fail(self, doc, "the field to write in capitals is absent");
    }
    if (value.kind != PENSTOCK_STRING) {
        return fail(self, doc, "the field to write in capitals is not text");
    }
    if (value.as.text.size == 0) return PENSTOCK_OK;

    /* The host's text is borrowed and may not be changed: work on a copy. set() copies it again. */
    copy = (char*)malloc(value.as.text.size);
    if (!copy) return fail(self, doc, "out of memory");
    memcpy(copy, value.as.text.data, value.as.text.size);
    capitalise_words(copy, value.as.text.size, self->min_length);
    value.as.text.data = copy;
    status = self->host->set(doc, self->field, &value);
    free(copy);
    return status;
}

static void* create(const penstock_host* host, penstock_load* load, penstock_str options) {
    static const penstock_str field = PENSTOCK_STR("field");
    static const penstock_str min_length = PENSTOCK_STR("min_length");
    static const penstock_str too_short = PENSTOCK_STR("must be 1 or more");
    static const penstock_str no_memory = PENSTOCK_STR("out of memory");
    static const penstock_str no_option = PENSTOCK_STR("");
    penstock_value value;
    uppercase_words* self = (uppercase_words*)calloc(1, sizeof *self);
    (void)options; /* the same options as one JSON text, for who has a parser */

    if (!self) {
        host->load_error(load, no_option, no_memory);
        return NULL;
    }
    self->host = host;
    /* The host has checked both against the specification: `field` is there, and has a default
     * otherwise. */
    if (host->option(load, field, &value) == PENSTOCK_OK) {
        self->field = host->path(load, field, value.as.text); /* reports by itself what is wrong */
    }
    if (host->option(load, min_length, &value) == PENSTOCK_OK && value.as.integer >= 1) {
        self->min_length = (size_t)value.as.integer;
    } else {
        host->load_error(load, min_length, too_short);
    }
    if (!self->field || !self->min_length) {
        free(self);
        return NULL;
    }
    return self;
}

static void destroy(void* self) {
    free(self);
}

static const penstock_processor processor = {
    sizeof(penstock_processor),
    0,
    PENSTOCK_STR(
        "{\"name\": \"uppercase_words\","
        " \"summary\": \"Writes the long words of a text field in capitals.\","
        " \"description\": \"Only ASCII letters change and count.\","
        " \"since\": \"0.1.0\","
        " \"options\": ["
        "  {\"name\": \"field\", \"type\": \"field\", \"required\": true, \"doc\": \"The text "
        "field.\"},"
        "  {\"name\": \"min_length\", \"type\": \"integer\", \"default\": 1, \"minimum\": 1,"
        "   \"doc\": \"Words of fewer letters stay as they are.\"}],"
        " \"examples\": ["
        "  {\"options\": {\"field\": \"title\", \"min_length\": 5},"
        "   \"in\": {\"title\": \"on open rivers\"}, \"out\": {\"title\": \"on open RIVERS\"}}]}"),
    create,
    destroy,
    run,
};

static const penstock_processor* const processors[] = {&processor};

static const penstock_plugin plugin = {
    sizeof(penstock_plugin),
    PENSTOCK_ABI_MINOR,
    0, /* the oldest host minor version that it works with */
    0,
    PENSTOCK_STR("uppercase_words"),
    PENSTOCK_STR("1.0.0"),
    1,
    processors,
    0,
    NULL,
};

const penstock_plugin* penstock_plugin_v1(void) {
    return &plugin;
}
