/* Notes and ELF files, good and broken: what decides before anything of a plugin runs. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "plugin/elf_audit.h"
#include "plugin/note.h"

TestSuite(plugin, .timeout = 60);

static tda_status parse(const char *text, struct note *n) {
    struct error e = {.retry_ms = -1};
    return note_parse(tda_str_of(text), n, &e);
}

Test(plugin, a_good_note) {
    struct note n;
    cr_assert(parse("id x\nversion 1.2\nprovides tda.provider/1\nneeds tda.json/1\nhost https://a.example\n"
                    "config api_key secret ur - your key\nconfig base_url url u https://a.example/v1 where it is\nenv api_key "
                    "A_KEY\nenv api_key B_KEY\naddress friendli_details.endpoint_url\nhost https://b.*.example.com\nunknown "
                    "word\nthreads\n",
                    &n) == TDA_OK);
    cr_assert_str_eq(n.id, "x");
    cr_assert(n.n_rules == 2 && n.rules[0].secret && n.rules[0].required && n.rules[0].user && !n.rules[0].fallback);
    cr_assert_str_eq(n.rules[1].fallback, "https://a.example/v1");
    cr_assert_str_eq(n.rules[1].help, "where it is");
    cr_assert(n.n_variables == 2 && n.variables[0].rule == 0 && n.variables[1].rule == 0);
    cr_assert_str_eq(n.variables[1].variable, "B_KEY");
    cr_assert_str_eq(n.address_field->name, "friendli_details");
    cr_assert_str_eq(n.address_member, "endpoint_url");
    cr_assert(note_provides(&n, "tda.provider/1") && !note_provides(&n, "tda.adapter/1") && n.threads);
    note_fini(&n);
}

Test(plugin, bad_notes) {
    static const char *const bad[] = {"",
                                      "id x\n",
                                      "id x\nversion 1\n",
                                      "id X\nversion 1\nprovides p\n",
                                      "id x\nid x\nversion 1\nprovides p\n",
                                      "id x\nversion 1\nprovides p\nconfig a\n",
                                      "id x\nversion 1\nprovides p\nconfig a float - - h\n",
                                      "id x\nversion 1\nprovides p\nconfig a text z - h\n",
                                      "id x\nversion 1\nprovides p\nenv a B\n",
                                      "id x\nversion 1\nprovides\n",
                                      "id x\nversion 1\nprovides p\n\x01",
                                      "id x\nversion 1\nprovides p\nhost nobody\n",
                                      "id x\nversion 1\nprovides p\nhost https://*.com\n",
                                      "id x\nversion 1\nprovides p\naddress base_url\n",
                                      "id x\nversion 1\nprovides p\naddress aws_region.x\n",
                                      "id x\nversion 1\nprovides p\naddress friendli_details.token\n",
                                      "id x\nversion 1\nprovides p\naddress friendli_details.nothing\n",
                                      "id x\nversion 1\nprovides p\naddress server_configs.x\n",
                                      "id \nversion 1\nprovides p\n"};
    struct note n;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) cr_assert(parse(bad[i], &n) != TDA_OK, "taken: %s", bad[i]);
}

static char *file;
static size_t size;

static void read_plugin(void) {
    const char *build = getenv("TDA_BUILD_DIR");
    char path[512];
    snprintf(path, sizeof path, "%s/plugins/offline.so", build ? build : "build/release");
    FILE *f = fopen(path, "rb");
    cr_assert(f, "%s", path);
    file = malloc(8 << 20);
    size = fread(file, 1, 8 << 20, f);
    fclose(f);
}

Test(plugin, a_real_plugin_passes, .init = read_plugin) {
    struct elf_facts facts;
    struct error e = {.retry_ms = -1};
    struct note n;
    cr_assert(elf_audit((tda_str){file, size}, "tda_plugin_entry_v0", &facts, &e) == TDA_OK, "%s", e.text);
    cr_assert(facts.abi_major == 0 && facts.abi_minor == TDA_ABI_MINOR);
    cr_assert(note_parse(facts.note, &n, &e) == TDA_OK);
    cr_assert_str_eq(n.id, "offline");
    note_fini(&n);
    cr_assert(elf_audit((tda_str){file, size}, "another_symbol", &facts, &e) != TDA_OK);
    free(file);
}

/* Whatever the length and whichever byte is wrong: a verdict, never a read outside. (Bytes behind the last segment may be missing.)
 */
Test(plugin, a_broken_file_is_judged_and_nothing_else, .init = read_plugin) {
    struct elf_facts facts;
    struct error e = {.retry_ms = -1};
    uint32_t seed = 3;
    for (size_t n = 0; n < size; n += n < 2048 ? 1 : 997) {
        char *cut = malloc(n ? n : 1);
        memcpy(cut, file, n);
        elf_audit((tda_str){cut, n}, "tda_plugin_entry_v0", &facts, &e);
        if (n < 4096) cr_assert(elf_audit((tda_str){cut, n}, "tda_plugin_entry_v0", &facts, &e) != TDA_OK);
        free(cut);
    }
    for (int i = 0; i < 3000; i++) {
        seed = seed * 1664525u + 1013904223u;
        size_t at = i % 2 ? seed % 1024 : seed % size;
        char before = file[at];
        file[at] = (char)(seed >> 24);
        elf_audit((tda_str){file, size}, "tda_plugin_entry_v0", &facts, &e);
        file[at] = before;
    }
    free(file);
}
