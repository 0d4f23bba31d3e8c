/* SPDX-License-Identifier: Apache-2.0
 * Plugins under any licence may include the headers in include/tda/. */
#ifndef TDA_PLUGIN_H
#define TDA_PLUGIN_H

/* The page a plugin includes. A plugin is a shared object that
 *   - exports one symbol, tda_plugin_entry_v0 (the ABI's major stands in the name),
 *   - carries an ELF note .note.tda that says what it is, so that it can be listed and judged without running any of it,
 *   - offers one or more interfaces: "tda.provider/1", "tda.adapter/1".
 *
 *     TDA_PLUGIN_NOTE("id hello\n"
 *                     "version 1.0.0\n"
 *                     "provides tda.provider/1\n"
 *                     "needs tda.json/1\n");
 *     static const struct tda_provider provider = { sizeof provider, ... };
 *     static const void *interface(tda_str id) { return tda_str_eq(id, TDA_STR(TDA_PROVIDER_ID)) ? &provider : NULL; }
 *     static const struct tda_plugin plugin = { sizeof plugin, TDA_ABI_MINOR, "hello", "1.0.0", NULL, interface };
 *     TDA_PLUGIN_ENTRY(const struct tda_host *host) { (void)host; return &plugin; }
 *
 * Build: cc -shared -fPIC -fvisibility=hidden $(pkg-config --cflags tda-plugin) hello.c -o hello.so
 *
 * Never call exit, fork, signal or setenv; start no threads unless the note says `threads`. A plugin is never unloaded. */

#include "tda/adapter.h"
#include "tda/json.h"
#include "tda/provider.h"

#ifdef __cplusplus
extern "C" {
#endif

struct tda_plugin {
    uint32_t size;
    uint32_t abi_minor; /* TDA_ABI_MINOR of the headers it was built with */
    const char *id;     /* as in the note */
    const char *version;
    tda_status (*boot)(void);             /* [boot] may be NULL; an error refuses the plugin */
    const void *(*interface)(tda_str id); /* [boot] the table for an interface id, or NULL */
};

/* [boot] Lives in the plugin. Returns NULL to refuse. */
typedef const struct tda_plugin *(*tda_plugin_entry)(const struct tda_host *host);

#define TDA_PLUGIN_ENTRY_SYMBOL "tda_plugin_entry_v0"

#ifdef __cplusplus
#define TDA_EXTERN_C extern "C"
#else
#define TDA_EXTERN_C extern
#endif

#define TDA_PLUGIN_ENTRY(param)                                                                                                    \
    TDA_EXTERN_C __attribute__((visibility("default"))) const struct tda_plugin *tda_plugin_entry_v0(param);                       \
    __attribute__((visibility("default"))) const struct tda_plugin *tda_plugin_entry_v0(param)

/* The note: an ELF note with owner "TDA", type 1. Its descriptor is abi_major, abi_minor (uint32, native order), then UTF-8 text:
 * lines of "word value", unknown words ignored:
 *   id NAME                          [a-z][a-z0-9_-]{0,31}; required, once
 *   version TEXT                     required, once
 *   provides INTERFACE               required
 *   needs EXTENSION | secrets        what it cannot do without
 *   host ORIGIN                      an origin it talks to: https://api.example.com. One label of the host may be "*", though none
 *                                    of the last two: https://runtime.*.example.com. The operator may put others in their place
 *   config NAME TYPE FLAGS DEFAULT HELP...
 *                                    TYPE text|url|int|bool|secret; FLAGS - or of u (a user may set it), r (required);
 *                                    DEFAULT - for none
 *   address FIELD.MEMBER             a member of azure_deployment_details or friendli_details that is the service's address. Where
 * a user's context has it, it is his base_url: setting("base_url") gives it env NAME VARIABLE                the vendor's usual
 * variable for that config entry, for the shared context; of several the first that is set threads | exports | static-tls   what a
 * language's runtime brings along */
#define TDA_NOTE_TYPE 1u
#define TDA_PLUGIN_NOTE(literal)                                                                                                   \
    __attribute__((section(".note.tda"), used, aligned(4))) static const struct {                                                  \
        uint32_t namesz, descsz, type;                                                                                             \
        char name[4];                                                                                                              \
        uint32_t abi_major, abi_minor;                                                                                             \
        char text[(sizeof(literal) + 3u) / 4u * 4u];                                                                               \
    } tda_plugin_note_ = {                                                                                                         \
        4u, (uint32_t)(8u + (sizeof(literal) + 3u) / 4u * 4u), TDA_NOTE_TYPE, "TDA", TDA_ABI_MAJOR, TDA_ABI_MINOR, literal}

#ifdef __cplusplus
}
#endif
#endif
