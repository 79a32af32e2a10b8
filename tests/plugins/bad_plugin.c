/* Faulty libraries, one for each value of BAD: what only a real file can show. Faulty tables are in
 * the loader's unit test, which needs no file for them. */
#include <penstock_plugin.h>

#define NO_ENTRY 1      /* a library, but no plugin */
#define OTHER_MAJOR 2   /* an entry of major version 2 alone */
#define NULL_TABLE 3    /* an entry that gives nothing */
#define UNRESOLVED 4    /* needs a function that nobody has */
#define NEWER 5         /* good: built against a later minor version, with larger tables */
#define NOT_THE_NAMED 6 /* good, but not the backend that its file name says */

#if BAD == NO_ENTRY
PENSTOCK_EXPORT int some_function(void);
int some_function(void) {
    return 1;
}

#elif BAD == OTHER_MAJOR
PENSTOCK_EXPORT const void* penstock_plugin_v2(void);
const void* penstock_plugin_v2(void) {
    return NULL;
}

#elif BAD == NULL_TABLE
const penstock_plugin* penstock_plugin_v1(void) {
    return NULL;
}

#elif BAD == UNRESOLVED
const penstock_plugin* penstock_function_that_nobody_has(void);
const penstock_plugin* penstock_plugin_v1(void) {
    return penstock_function_that_nobody_has();
}

#elif BAD == NEWER
/* As a header of minor version 7 could have it: an entry more at the end. */
struct newer_plugin {
    penstock_plugin known;
    const void* added;
};
static const struct newer_plugin plugin = {
    {sizeof(struct newer_plugin), 7, 0, 0, PENSTOCK_STR("newer"), PENSTOCK_STR("7.0"), 0, NULL, 0,
     NULL},
    &plugin};
const penstock_plugin* penstock_plugin_v1(void) {
    return &plugin.known;
}

#elif BAD == NOT_THE_NAMED
static const penstock_plugin plugin = {
    sizeof(penstock_plugin), 0, 0,    0, PENSTOCK_STR("misnamed"),
    PENSTOCK_STR("1"),       0, NULL, 0, NULL};
const penstock_plugin* penstock_plugin_v1(void) {
    return &plugin;
}
#endif
